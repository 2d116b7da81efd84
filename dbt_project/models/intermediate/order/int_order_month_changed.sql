{{ config(materialized='table', post_hook='{{ analyze_this() }}') }}

-- depends_on: {{ ref('int_document_changed') }}
-- depends_on: {{ ref('int_outlet_month_changed') }}
-- depends_on: {{ ref('int_outlet_now') }}
-- depends_on: {{ ref('fct_order_occasion') }}
-- Months whose size of an order is counted anew: orders or deliveries changed, or the outlet that ordered. From the month of
-- the business date on everything is: it may be an earlier date than that of the last build, or a later one.
{% set built = built_keys('int_outlet_built') -%}
{% set sizes = built_relation('marts', 'order_size_monthly') -%}
with every_month as (
    select
        instance,
        cast(date_trunc('month', ordered_on) as date) as month_start
    from {{ ref('fct_order_occasion') }}
    {% if none not in [built, sizes] -%}
    where
        ordered_on >= date_trunc('month', {{ as_of() }})
        or ordered_on >= (select max(sizes.month_start) from {{ sizes }} as sizes)
    {% endif -%}
    group by instance, date_trunc('month', ordered_on)
)

select
    instance,
    month_start
from every_month
union
select
    instance,
    month_start
from {{ ref('int_outlet_month_changed') }}
{%- if none not in [built, sizes] %}
union
select
    instance,
    month_start
from {{ sizes }}
where month_start >= date_trunc('month', {{ as_of() }})
union
select
    changed.instance,
    cast(date_trunc('month', changed.ordered_on) as date) as month_start
from ({{ changed_order_days() }}) as changed
where changed.ordered_on is not null
union
select
    occasions.instance,
    cast(date_trunc('month', occasions.ordered_on) as date) as month_start
from {{ ref('int_outlet_now') }} as outlets
full outer join {{ built }} as built on outlets.instance = built.instance and outlets.outlet_id = built.outlet_id
inner join {{ ref('fct_order_occasion') }} as occasions
    on
        coalesce(outlets.instance, built.instance) = occasions.instance
        and coalesce(outlets.outlet_id, built.outlet_id) = occasions.outlet_id
where coalesce(outlets.fingerprint, '') <> coalesce(built.fingerprint, '')
{%- endif %}
