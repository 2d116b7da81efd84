{{ config(materialized='table', post_hook='{{ analyze_this() }}') }}

-- depends_on: {{ ref('int_client_month_changed') }}
-- Months whose pictures of clients are drawn anew: what a client bought changed in this month or an earlier one (a picture
-- looks back, and knows the first purchase), the month was counted to another day, or has no picture yet.
{% set segments = built_relation('marts', 'client_segment') -%}
with months as (
    select
        instances.instance,
        cast(months.month_start as date) as month_start,
        least(cast(months.month_start + interval '1 month - 1 day' as date), {{ as_of() }}) as counted_to,
        cast(months.month_start + interval '1 month - 1 day' as date) < {{ as_of() }} as is_complete
    from {{ ref('stg_ops__source_instance') }} as instances
    cross join
        lateral generate_series(
            date_trunc('month', {{ as_of() }}) - interval '{{ var('segment_history_months') }} months', {{ as_of() }}, interval '1 month'
        ) as months (month_start)
)

{% if segments is none -%}
select
    instance,
    month_start
from months
{%- else -%}
, drawn as (
    select distinct
        instance,
        month_start,
        counted_to,
        is_complete
    from {{ segments }}
),

changed as (
    select
        instance,
        min(month_start) as changed_from
    from {{ ref('int_client_month_changed') }}
    group by instance
)

select
    months.instance,
    months.month_start
from months
left join drawn
    on
        months.instance = drawn.instance
        and months.month_start = drawn.month_start
        and months.counted_to = drawn.counted_to
        and months.is_complete = drawn.is_complete
left join changed on months.instance = changed.instance
where drawn.instance is null or months.month_start >= changed.changed_from
{%- endif %}
