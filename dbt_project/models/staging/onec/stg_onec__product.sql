with source as (
    select * from {{ source('onec', 'onec_product') }}
)

select
    instance,
    record_id as product_id,
    code,
    name,
    article,
    parent_id,
    coalesce(is_folder, false) as is_folder,
    brand_id,
    unit_id,
    -- БП knows goods and services only; tare may be marked apart.
    coalesce(
        case when is_returnable_tare then 'МногооборотнаяТара' end,
        product_type,
        case is_service when true then 'Услуга' when false then 'Товар' end
    ) as product_type,
    weight_numerator,
    weight_denominator,
    full_name,
    manufacturer_id,
    product_kind_id,
    category_id,
    price_group_id,
    pack_set_id,
    vat_rate_id,
    is_service,
    is_returnable_tare,
    shelf_life_days,
    quality,
    successor_id,
    delisted_on,
    coalesce(deletion_mark, false) as deletion_mark,
    deleted_at,
    deleted_at is not null as is_deleted,
    loaded_at,
    load_id
from source
