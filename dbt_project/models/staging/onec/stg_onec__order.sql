with source as (
    select * from {{ source('onec', 'onec_order') }}
)

select
    instance,
    record_id as order_id,
    number,
    dated_at,
    coalesce(posted, false) as posted,
    coalesce(deletion_mark, false) as deletion_mark,
    partner_id,
    legal_entity_id,
    organisation_id,
    agreement_id,
    manager_id,
    warehouse_id,
    currency_id,
    amount,
    price_includes_vat,
    operation,
    department_id,
    delivery_address,
    comment,
    case
        when is_closed or completion is not null then 'Закрыт'
        else coalesce(
            status,
            (
                select states.name
                from {{ source('onec', 'onec_order_state') }} as states
                where states.instance = source.instance and states.record_id = source.state_id
            )
        )
    end as status,
    approved,
    requested_on,
    contract_id,
    settlement_object_id,
    price_type_id,
    delivery_method,
    client_order_number,
    state_id,
    is_closed,
    completion,
    cancellation_reason_id,
    approved_on,
    deleted_at,
    deleted_at is not null as is_deleted,
    loaded_at,
    load_id,
    row_hash
from source
