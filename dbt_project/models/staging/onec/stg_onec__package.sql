with source as (
    select * from {{ source('onec', 'onec_package') }}
)

select
    instance,
    record_id as package_id,
    code,
    name,
    full_name,
    product_id,
    owner_type,
    unit_id,
    package_kind,
    numerator,
    denominator,
    coalesce(deletion_mark, false) as deletion_mark,
    deleted_at,
    deleted_at is not null as is_deleted,
    loaded_at,
    load_id
from source
