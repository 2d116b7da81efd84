with goods as (
    select * from {{ source('onec', 'onec_order_line') }}
),

services as (
    select * from {{ source('onec', 'onec_order_service_line') }}
),

-- Apart for each, because PostgreSQL would copy a table that is named twice.
goods_documents as (
    select * from {{ source('onec', 'onec_order') }}
),

service_documents as (
    select * from {{ source('onec', 'onec_order') }}
),

packages as (
    select * from {{ source('onec', 'onec_package') }}
)

select
    goods.instance,
    goods.record_id as order_id,
    goods.line_no,
    goods.product_id,
    goods.characteristic_id,
    goods.package_id,
    goods.package_quantity,
    {{ base_quantity('goods', 'packages') }} as quantity,
    goods.price_type_id,
    goods.price,
    goods.amount,
    goods.vat_rate_id,
    goods.vat_amount,
    {{ amount_with_vat('goods', 'goods_documents') }} as amount_with_vat,
    goods.manual_discount_percent,
    goods.manual_discount_amount,
    goods.auto_discount_percent,
    goods.auto_discount_amount,
    goods.requested_on,
    goods.warehouse_id,
    goods.line_code,
    goods.supply_option,
    coalesce(goods.cancelled, {{ cancelled_with_order('goods_documents') }}, false) as cancelled,
    coalesce(
        goods.cancellation_reason_id, case when goods.cancelled is null then goods_documents.cancellation_reason_id end
    ) as cancellation_reason_id,
    false as is_service_section,
    goods.load_id
from goods
left join goods_documents on goods.instance = goods_documents.instance and goods.record_id = goods_documents.record_id
left join packages on goods.instance = packages.instance and goods.package_id = packages.record_id
union all
select
    services.instance,
    services.record_id as order_id,
    {{ service_line_no('services.line_no') }} as line_no,
    services.product_id,
    null as characteristic_id,
    null as package_id,
    null as package_quantity,
    services.quantity,
    null as price_type_id,
    services.price,
    services.amount,
    null as vat_rate_id,
    services.vat_amount,
    {{ amount_with_vat('services', 'service_documents') }} as amount_with_vat,
    null as manual_discount_percent,
    null as manual_discount_amount,
    null as auto_discount_percent,
    null as auto_discount_amount,
    null as requested_on,
    null as warehouse_id,
    null as line_code,
    null as supply_option,
    coalesce({{ cancelled_with_order('service_documents') }}, false) as cancelled,
    null as cancellation_reason_id,
    true as is_service_section,
    services.load_id
from services
left join service_documents on services.instance = service_documents.instance and services.record_id = service_documents.record_id
