with source as (
    select * from {{ source('onec', 'onec_contract') }}
)

select
    instance,
    record_id as contract_id,
    code,
    number,
    name,
    signed_on,
    partner_id,
    legal_entity_id,
    organisation_id,
    manager_id,
    status,
    coalesce(inactive, false) as inactive,
    contract_kind,
    valid_from,
    valid_to,
    currency_id,
    price_type_id,
    discount_percent,
    deferral_days,
    limits_debt,
    credit_limit,
    forbids_overdue,
    settlement_order,
    payment_schedule_id,
    coalesce(deletion_mark, false) as deletion_mark,
    deleted_at,
    deleted_at is not null as is_deleted,
    loaded_at,
    load_id
from source
