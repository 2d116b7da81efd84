{{ config(materialized='table', indexes=[{'columns': ['instance', 'outlet_id'], 'unique': true}], post_hook='{{ analyze_this() }}') }}

-- depends_on: {{ ref('fct_order_occasion') }}
-- From which day the turns of an outlet are written anew (some before a changed day look ahead to it), and from which they
-- are read for it, with the number of the first of those. Counted from turns that stay as they are.
{% set turns = built_relation('intermediate', 'int_order_turn') -%}
{% if turns is none -%}
select
    instance,
    outlet_id,
    changed_from as written_from,
    changed_from as read_from,
    cast(1 as bigint) as first_turn_no
from {{ ref('int_order_day_changed') }}
{%- else -%}
select
    changed.instance,
    changed.outlet_id,
    coalesce(min(before.ordered_on) filter (where before.steps_back <= {{ var('habit_occasions') }}), changed.changed_from) as written_from,
    coalesce(min(before.ordered_on), changed.changed_from) as read_from,
    coalesce(min(before.turn_no), 1) as first_turn_no
from {{ ref('int_order_day_changed') }} as changed
left join lateral (
    select
        turns.ordered_on,
        turns.turn_no,
        row_number() over (order by turns.ordered_on desc) as steps_back
    from {{ turns }} as turns
    where
        turns.instance = changed.instance
        and turns.outlet_id = changed.outlet_id
        and turns.ordered_on < changed.changed_from
    order by turns.ordered_on desc
    limit {{ var('habit_occasions') }} + {{ var('rhythm_occasions') }} + 1
) as before on true
group by changed.instance, changed.outlet_id, changed.changed_from
{%- endif %}
