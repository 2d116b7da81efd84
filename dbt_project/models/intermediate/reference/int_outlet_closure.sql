{{ config(materialized='table', indexes=[{'columns': ['instance', 'outlet_id']}], post_hook='{{ analyze_this() }}') }}

-- Days on which an outlet orders nothing and nobody should ask: agreed pauses, and months outside its season. A season
-- said of the outlet goes before one of its client, its format, its channel.
with outlets as (
    select
        outlets.*,
        clients.client_code
    from {{ ref('int_outlet') }} as outlets
    left join {{ ref('int_client') }} as clients
        on outlets.instance = clients.instance and outlets.client_id = clients.client_id
),

pauses as (
    select * from {{ ref('stg_reference__pause') }}
),

seasons as (
    select * from {{ ref('stg_reference__season') }}
),

months as (
    select cast(month_start as date) as month_start
    from generate_series(
        date_trunc('month', {{ as_of() }} - interval '24 months'), {{ as_of() }} + interval '6 months', interval '1 month'
    ) as month_start
),

said as (
    select distinct on (outlets.instance, outlets.outlet_id, seasons.calendar_month)
        outlets.instance,
        outlets.outlet_id,
        seasons.calendar_month,
        seasons.is_open
    from outlets
    inner join seasons
        on
            coalesce(seasons.instance, outlets.instance) = outlets.instance
            and (
                outlets.outlet_code = seasons.outlet_code
                or outlets.client_code = seasons.client_code
                or outlets.outlet_format = seasons.outlet_format
                or outlets.channel = seasons.channel
            )
    order by
        outlets.instance, outlets.outlet_id, seasons.calendar_month,
        case
            when seasons.outlet_code is not null then 1
            when seasons.client_code is not null then 2
            when seasons.outlet_format is not null then 3
            else 4
        end
)

select
    outlets.instance,
    outlets.outlet_id,
    'pause' as closure_kind,
    pauses.valid_from as closed_from,
    pauses.valid_to as closed_to
from outlets
inner join pauses
    on
        coalesce(pauses.instance, outlets.instance) = outlets.instance
        and (outlets.outlet_code = pauses.outlet_code or outlets.client_code = pauses.client_code)
union all
select
    said.instance,
    said.outlet_id,
    'season' as closure_kind,
    months.month_start as closed_from,
    cast(months.month_start + interval '1 month - 1 day' as date) as closed_to
from said
inner join months on said.calendar_month = extract(month from months.month_start)
where not said.is_open
