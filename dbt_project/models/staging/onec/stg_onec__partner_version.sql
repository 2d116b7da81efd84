-- Every version that was ever landed: the present one and those it replaced.
with versions as (
    select
        instance,
        record_id,
        code,
        name,
        parent_id,
        is_folder,
        business_region_id,
        manager_id,
        outlet_format,
        channel,
        closed_on,
        strategy_model,
        deletion_mark,
        deleted_at,
        loaded_at
    from {{ source('onec', 'onec_partner') }}
    union all
    select
        instance,
        record_id,
        code,
        name,
        parent_id,
        is_folder,
        business_region_id,
        manager_id,
        outlet_format,
        channel,
        closed_on,
        strategy_model,
        deletion_mark,
        deleted_at,
        loaded_at
    from {{ source('onec_history', 'onec_partner') }}
)

select
    instance,
    record_id as partner_id,
    code,
    name,
    parent_id,
    business_region_id as territory_id,
    manager_id,
    outlet_format,
    channel,
    closed_on,
    strategy_model,
    coalesce(deletion_mark, false) or deleted_at is not null as is_withdrawn,
    loaded_at
from versions
where not coalesce(is_folder, false)
