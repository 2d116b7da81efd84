{{ config(materialized='table', post_hook='{{ analyze_this() }}') }}

-- depends_on: {{ ref('int_outlet_month_changed') }}
-- Months whose numeric distribution is written anew: something was sold or came back, or what it is divided by changed.
{% set built = built_keys('int_distribution_month_built') -%}
{% set carried = carried_over('int_distribution_month_changed') -%}
with months as (
    select * from {{ ref('int_distribution_month_now') }}
)

{% if built is none -%}
select
    instance,
    month_start
from months
{%- else -%}
, built as (
    select * from {{ built }}
)

select
    coalesce(months.instance, built.instance) as instance,
    coalesce(months.month_start, built.month_start) as month_start
from months
full outer join built on months.instance = built.instance and months.month_start = built.month_start
where coalesce(months.fingerprint, '') <> coalesce(built.fingerprint, '')
union
select
    instance,
    month_start
from {{ ref('int_outlet_month_changed') }}
{% if carried is not none -%}
union
select
    instance,
    month_start
from {{ carried }}
{%- endif %}
{%- endif %}
