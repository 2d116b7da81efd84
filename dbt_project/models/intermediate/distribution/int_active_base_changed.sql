{{ config(materialized='table', post_hook='{{ analyze_this() }}') }}

-- depends_on: {{ ref('int_outlet_month_changed') }}
-- From which month on the active base is counted anew: the first in which an outlet's purchases changed, or the last one
-- counted, which knew no more than its business date.
{% set bridge = built_relation('marts', 'active_base_bridge') -%}
with instances as (
    select instance from {{ ref('stg_ops__source_instance') }}
)

{% if bridge is none -%}
select
    instance,
    date '0001-01-01' as month_start
from instances
{%- else -%}
, months as (
    select
        instance,
        min(month_start) as month_start
    from {{ ref('int_outlet_month_changed') }}
    group by instance
    union all
    select
        instance,
        max(month_start) as month_start
    from {{ bridge }}
    group by instance
)

select
    instances.instance,
    least(min(months.month_start), cast(date_trunc('month', {{ as_of() }}) as date)) as month_start
from instances
left join months on instances.instance = months.instance
group by instances.instance
{%- endif %}
