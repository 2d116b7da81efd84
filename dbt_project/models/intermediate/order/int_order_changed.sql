{{
    config(
        materialized='table',
        indexes=[{'columns': ['instance', 'order_id'], 'unique': true}],
        post_hook='{{ analyze_this() }}'
    )
}}

-- Orders whose fulfilment is written anew: new ones, those not finished, those whose order day or month of shipping
-- changed. A table, since Postgres counts its rows: guessed by what is missing from the mart, a first load looks like one row.
-- depends_on: {{ ref('int_order_day_changed') }}
-- depends_on: {{ ref('int_outlet_month_changed') }}
-- depends_on: {{ ref('fct_shipment_line') }}
{% set built = built_relation('marts', 'order_fulfilment') -%}
{% set incremental = built is not none and not flags.FULL_REFRESH -%}
with lines as (
    select * from {{ ref('fct_order_line') }}
)

{% if not incremental -%}
select distinct
    instance,
    order_id
from lines
{%- else -%}
, kept as (
    select * from {{ built }}
),

days as (
    select * from {{ ref('int_order_day_changed') }}
),

months as (
    select * from {{ ref('int_outlet_month_changed') }}
),

shipments as (
    select * from {{ ref('fct_shipment_line') }}
)

select
    lines.instance,
    lines.order_id
from lines
left join kept on lines.instance = kept.instance and lines.order_id = kept.order_id
where kept.order_id is null
union
select
    kept.instance,
    kept.order_id
from kept
where
    kept.stage in ('waiting', 'partly_shipped')
    -- A promise has come due, or is not due yet when an earlier day is built again.
    or (
        kept.promised_on is not null
        and kept.positions_ordered > 0
        and kept.stage <> 'shipped'
        and (kept.promised_on < {{ as_of() }}) <> (kept.is_otif is not null)
    )
union
select
    kept.instance,
    kept.order_id
from days
inner join kept
    on
        days.instance = kept.instance
        and days.outlet_id = kept.outlet_id
        and days.changed_from <= kept.ordered_on
union
select
    kept.instance,
    kept.order_id
from months
inner join kept
    on
        months.instance = kept.instance
        and months.outlet_id = kept.outlet_id
        and months.month_start + interval '1 month' > kept.first_shipped_on
        and months.month_start <= kept.last_shipped_on
union
select
    shipments.instance,
    shipments.order_id
from shipments
inner join months
    on
        shipments.instance = months.instance
        and shipments.outlet_id = months.outlet_id
        and shipments.shipped_on >= months.month_start
        and shipments.shipped_on < months.month_start + interval '1 month'
where shipments.order_id is not null
{%- endif %}
