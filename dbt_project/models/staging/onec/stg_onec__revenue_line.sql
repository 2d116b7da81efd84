-- УТ names product and client by analytics keys, УНФ by themselves.
with documents as (
    select * from {{ source('onec', 'onec_revenue') }}
),

movements as (
    select * from {{ source('onec', 'onec_revenue_line') }}
),

product_keys as (
    select * from {{ source('onec', 'onec_product_accounting_key') }}
),

partner_keys as (
    select * from {{ source('onec', 'onec_partner_accounting_key') }}
)

select
    movements.instance,
    movements.record_id as recorder_id,
    documents.recorder_type,
    movements.line_no,
    movements.moved_at,
    coalesce(movements.active, true) as active,
    movements.product_key_id,
    movements.partner_key_id,
    coalesce(movements.product_id, product_keys.product_id) as product_id,
    coalesce(movements.characteristic_id, product_keys.characteristic_id) as characteristic_id,
    coalesce(movements.partner_id, partner_keys.partner_id) as partner_id,
    coalesce(movements.legal_entity_id, partner_keys.legal_entity_id) as legal_entity_id,
    coalesce(movements.organisation_id, partner_keys.organisation_id) as organisation_id,
    coalesce(movements.contract_id, partner_keys.contract_id) as contract_id,
    movements.agreement_id,
    movements.order_id,
    movements.order_type,
    movements.document_id,
    movements.document_type,
    movements.department_id,
    movements.manager_id,
    movements.warehouse_id,
    movements.operation,
    movements.quantity,
    movements.revenue,
    coalesce(movements.revenue_without_vat, movements.revenue - movements.vat_amount) as revenue_without_vat,
    movements.vat_amount,
    movements.cost,
    movements.cost_without_vat,
    movements.cost_regulated,
    movements.extra_cost,
    movements.extra_cost_without_vat,
    movements.selling_cost_without_vat,
    movements.manual_discount_amount,
    movements.auto_discount_amount,
    coalesce(movements.is_cost_calculation, false) as is_cost_calculation,
    coalesce(movements.is_unfinished, false) as is_unfinished,
    coalesce(movements.is_reversal, false) as is_reversal,
    documents.deleted_at is not null as is_deleted,
    documents.loaded_at,
    movements.load_id
from movements
inner join documents on movements.instance = documents.instance and movements.record_id = documents.record_id
left join product_keys
    on movements.instance = product_keys.instance and movements.product_key_id = product_keys.record_id
left join partner_keys
    on movements.instance = partner_keys.instance and movements.partner_key_id = partner_keys.record_id
