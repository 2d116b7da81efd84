-- How many outlets a territory has in all, at which time: its own total, else the sum over its formats.
with census as (
    select
        census.territory,
        census.outlet_format,
        census.outlets_total,
        census.valid_from,
        coalesce(census.valid_to, date '9999-12-31') as valid_to,
        territories.instance,
        territories.territory_id
    from {{ ref('stg_reference__territory_census') }} as census
    inner join {{ ref('stg_onec__business_region') }} as territories
        on
            census.territory = territories.name
            and coalesce(census.instance, territories.instance) = territories.instance
    where not territories.is_deleted
)

select
    instance,
    territory_id,
    outlet_format,
    outlets_total,
    valid_from,
    valid_to
from census
