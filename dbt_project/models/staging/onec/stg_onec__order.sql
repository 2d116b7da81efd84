with source as (
    select * from {{ source('onec', 'onec_order') }}
),

states as (
    select * from {{ source('onec', 'onec_order_state') }}
)

select
    source.instance,
    source.record_id as order_id,
    source.number,
    source.dated_at,
    coalesce(source.posted, false) as posted,
    coalesce(source.deletion_mark, false) as deletion_mark,
    source.partner_id,
    source.legal_entity_id,
    source.organisation_id,
    source.agreement_id,
    source.manager_id,
    source.warehouse_id,
    source.currency_id,
    source.amount,
    source.price_includes_vat,
    source.operation,
    source.department_id,
    source.delivery_address,
    source.comment,
    case
        when source.is_closed or source.completion is not null then 'Закрыт'
        else coalesce(source.status, states.name)
    end as status,
    source.approved,
    source.requested_on,
    source.contract_id,
    source.settlement_object_id,
    source.price_type_id,
    source.delivery_method,
    source.client_order_number,
    source.state_id,
    source.is_closed,
    source.completion,
    source.cancellation_reason_id,
    source.approved_on,
    source.deleted_at,
    source.deleted_at is not null as is_deleted,
    source.loaded_at,
    source.load_id,
    source.row_hash
from source
left join states on source.instance = states.instance and source.state_id = states.record_id
