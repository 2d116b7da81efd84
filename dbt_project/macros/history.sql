{#-
  CTEs `landed`, `last_of_day`, `compared`, `history`: versions of records as spells of days in which nothing that is looked at changed.
  1C keeps no history of its catalogs, so a change is dated by the day it was landed, in the time zone of the base; the last
  version of a day counts. The first known version holds for all the time before: `known_since` says since when it is known.
  Everything follows from the landed versions alone, so the result is the same whenever it is built.
  versions: a model with instance, `key`, `loaded_at` and the columns.
-#}
{% macro history_of(versions, key, columns) -%}
landed as (
    select
        versions.*,
        cast(versions.loaded_at at time zone source_instances.time_zone as date) as landed_on,
        cast(row(
            {%- for column in columns %}
            versions.{{ column }}{{ ',' if not loop.last }}
            {%- endfor %}
        ) as text) as state
    from {{ versions }} as versions
    inner join source_instances on versions.instance = source_instances.instance
),

last_of_day as (
    select distinct on (instance, {{ key }}, landed_on) *
    from landed
    order by instance, {{ key }}, landed_on, loaded_at desc
),

compared as (
    select
        last_of_day.*,
        row_number() over in_time as version_no,
        lag(state) over in_time as state_before
    from last_of_day
    window in_time as (partition by instance, {{ key }} order by landed_on)
),

history as (
    select
        compared.*,
        case when version_no = 1 then cast('1900-01-01' as date) else landed_on end as valid_from,
        coalesce(
            lead(landed_on) over (partition by instance, {{ key }} order by landed_on) - 1, cast('9999-12-31' as date)
        ) as valid_to
    from compared
    where version_no = 1 or state <> state_before
)
{%- endmacro %}
