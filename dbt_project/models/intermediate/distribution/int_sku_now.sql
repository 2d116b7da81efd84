-- What is known of each product that bears on distribution, as one fingerprint.
select
    instance,
    product_id,
    md5(concat_ws(':', sku_id, units_per_unit, product_kind, brand_id, category_id)) as fingerprint
from {{ ref('int_sku') }}
