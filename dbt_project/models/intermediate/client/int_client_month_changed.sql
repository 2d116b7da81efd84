{{
    config(
        materialized='table',
        indexes=[{'columns': ['instance', 'client_id', 'month_start'], 'unique': true}],
        post_hook='{{ analyze_this() }}'
    )
}}

-- depends_on: {{ ref('int_outlet_month_changed') }}
-- Months of clients that are no longer those the marts were built from: those of their outlets, also of outlets that they
-- have lost to another client.
{% set built = built_keys('int_outlet_built') -%}
select
    months.instance,
    outlets.client_id,
    months.month_start
from {{ ref('int_outlet_month_changed') }} as months
inner join {{ ref('int_outlet') }} as outlets
    on months.instance = outlets.instance and months.outlet_id = outlets.outlet_id
where outlets.client_id is not null
{% if built is none -%}
group by months.instance, outlets.client_id, months.month_start
{%- else -%}
union
select
    months.instance,
    built.client_id,
    months.month_start
from {{ ref('int_outlet_month_changed') }} as months
inner join {{ built }} as built on months.instance = built.instance and months.outlet_id = built.outlet_id
where built.client_id is not null
{%- endif %}
