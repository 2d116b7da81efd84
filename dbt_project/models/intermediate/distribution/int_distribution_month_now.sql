{{ config(materialized='table') }}

-- What numeric distribution of each month is divided by, as one number that changes when any outlet of it does, the census,
-- or when the month is over.
with outlets as (
    select
        instance,
        period_start as month_start,
        period_end,
        sum(
            hashtextextended(
                concat_ws(
                    ':', outlet_id, client_id, territory_id, manager_id, branch_id, outlet_format, channel, positions, is_active,
                    in_base, is_assigned, is_on_route
                ),
                0
            )
        ) as outlets_hash
    from {{ ref('int_distribution_universe') }}
    where period_kind = 'month'
    group by instance, period_start, period_end
),

census as (
    select
        outlets.instance,
        outlets.month_start,
        sum(
            hashtextextended(concat_ws(':', census.territory_id, census.outlet_format, census.outlets_total), 0)
        ) as census_hash
    from outlets
    inner join {{ ref('int_territory_census') }} as census
        on
            outlets.instance = census.instance
            and outlets.period_end between census.valid_from and census.valid_to
    group by outlets.instance, outlets.month_start
)

select
    outlets.instance,
    outlets.month_start,
    concat_ws(':', outlets.outlets_hash, census.census_hash, outlets.period_end < {{ as_of() }}) as fingerprint
from outlets
left join census on outlets.instance = census.instance and outlets.month_start = census.month_start
