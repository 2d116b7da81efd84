with source as (
    select * from {{ source('onec', 'onec_partner') }}
)

select
    instance,
    record_id as partner_id,
    code,
    name,
    full_name,
    parent_id,
    business_region_id as territory_id,
    manager_id,
    registered_on,
    {{ person_kind('person_kind') }} as person_kind,
    coalesce(is_client, false) as is_client,
    coalesce(is_supplier, false) as is_supplier,
    outlet_format,
    channel,
    closed_on,
    strategy_model,
    attraction_source,
    coalesce(deletion_mark, false) as deletion_mark,
    deleted_at,
    deleted_at is not null as is_deleted,
    loaded_at,
    load_id
from source
-- УНФ and БП sort their clients into folders.
where not coalesce(is_folder, false)
