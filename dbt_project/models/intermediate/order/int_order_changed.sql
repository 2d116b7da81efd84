{{
    config(
        materialized='table',
        indexes=[{'columns': ['instance', 'order_id'], 'unique': true}],
        post_hook='{{ analyze_this() }}'
    )
}}

-- Orders whose fulfilment is written anew: those that changed, or were shipped otherwise, those not finished, those whose
-- promise comes due, and those between whose order and shipment a day turned out (not) to be a working day.
-- depends_on: {{ ref('int_document_changed') }}
-- depends_on: {{ ref('int_document_before') }}
-- depends_on: {{ ref('int_meaning_now') }}
-- depends_on: {{ ref('fct_shipment_line') }}
{% set built = built_relation('marts', 'order_fulfilment') -%}
{% set built_meanings = built_keys('int_meaning_built') -%}
{% if built is none or built_meanings is none or flags.FULL_REFRESH -%}
select distinct
    instance,
    order_id
from {{ ref('fct_order_line') }}
{%- else -%}
with kept as (
    select * from {{ built }}
),

changed as (
    select
        document_kind,
        instance,
        document_id
    from {{ ref('int_document_changed') }}
),

changed_days as (
    select
        min(cast(coalesce(now.word_id, before.word_id) as date)) as changed_from,
        max(cast(coalesce(now.word_id, before.word_id) as date)) as changed_to
    from {{ ref('int_meaning_now') }} as now
    full outer join {{ built_meanings }} as before on now.word_kind = before.word_kind and now.word_id = before.word_id
    where
        coalesce(now.word_kind, before.word_kind) = 'day'
        and coalesce(now.meaning, '') <> coalesce(before.meaning, '')
)

select
    instance,
    document_id as order_id
from changed
where document_kind = 'order'
union
select
    lines.instance,
    lines.order_id
from changed
inner join {{ ref('fct_shipment_line') }} as lines
    on changed.instance = lines.instance and changed.document_id = lines.shipment_id
where changed.document_kind = 'shipment' and lines.order_id is not null
union
select
    instance,
    named_id as order_id
from {{ ref('int_document_before') }}
where document_kind = 'shipment'
union
select
    instance,
    order_id
from kept
where stage in ('waiting', 'partly_shipped')
union
-- A promise has come due, or is not due yet when an earlier day is built again.
select
    instance,
    order_id
from kept
where
    stage in ('waiting', 'partly_shipped', 'cancelled_by_us', 'closed_unshipped', 'closed_short')
    and positions_ordered > 0
    and (promised_on < {{ as_of() }}) <> (is_otif is not null)
union
select
    kept.instance,
    kept.order_id
from changed_days
inner join kept on changed_days.changed_to >= kept.ordered_on and changed_days.changed_from <= kept.first_shipped_on
{%- endif %}
