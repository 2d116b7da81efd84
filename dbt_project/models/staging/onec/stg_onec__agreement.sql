with source as (
    select * from {{ source('onec', 'onec_agreement') }}
)

select
    instance,
    record_id as agreement_id,
    number,
    name,
    agreed_on,
    partner_id,
    legal_entity_id,
    organisation_id,
    manager_id,
    -- УНФ only says that a contract is not valid any more.
    coalesce(status, case inactive when true then 'НеДействует' when false then 'Действует' end) as status,
    valid_from,
    valid_to,
    order_every_weeks,
    order_weekdays,
    coalesce(is_standard, false) as is_standard,
    coalesce(inactive, false) as inactive,
    contract_kind,
    currency_id,
    price_type_id,
    discount_percent,
    max_manual_discount_percent,
    deferral_days,
    credit_limit,
    min_order_amount,
    settlement_order,
    payment_schedule_id,
    segment_id,
    warehouse_id,
    coalesce(deletion_mark, false) as deletion_mark,
    deleted_at,
    deleted_at is not null as is_deleted,
    loaded_at,
    load_id
from source
