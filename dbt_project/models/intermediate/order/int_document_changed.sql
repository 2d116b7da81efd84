{{
    config(
        materialized='table',
        indexes=[{'columns': ['document_kind', 'instance', 'document_id']}],
        pre_hook='set local parallel_tuple_cost = 0',
        post_hook='{{ analyze_this() }}'
    )
}}

-- depends_on: {{ ref('int_meaning_now') }}
-- Documents that are no longer what the marts were built from: new, changed, moved or gone (no fingerprint), or with a word
-- in them whose meaning has changed. Each with the day it belongs to now, and the one it belonged to then; those of a build
-- that died belonged to several. All documents are compared, and everything waits for it: the planner, who cannot know that
-- nearly all of them are the same, is told not to mind how many rows its workers hand over.
{% set built = built_keys('int_document_built') -%}
{% set built_meanings = built_keys('int_meaning_built') -%}
{% set order_lines = built_relation('marts', 'fct_order_line') -%}
{% set shipment_lines = built_relation('marts', 'fct_shipment_line') -%}
{% set return_lines = built_relation('marts', 'fct_return_line') -%}
{% set carried = carried_over('int_document_changed') -%}
with documents as (
    select * from {{ ref('int_document_now') }}
)

{% if none in [built, built_meanings, order_lines, shipment_lines, return_lines] -%}
select
    document_kind,
    instance,
    document_id,
    outlet_id,
    document_on,
    fingerprint,
    cast(null as text) as outlet_id_before,
    cast(null as date) as document_on_before
from documents
{%- else -%}
, built as (
    select * from {{ built }}
),

meanings as (
    select
        coalesce(now.word_kind, before.word_kind) as word_kind,
        coalesce(now.instance, before.instance) as instance,
        coalesce(now.word_id, before.word_id) as word_id
    from {{ ref('int_meaning_now') }} as now
    full outer join {{ built_meanings }} as before
        on now.word_kind = before.word_kind and now.instance = before.instance and now.word_id = before.word_id
    where coalesce(now.meaning, '') <> coalesce(before.meaning, '')
),

told_otherwise as (
    select
        'order' as document_kind,
        line.instance,
        line.order_id as document_id
    from meanings
    inner join {{ order_lines }} as line on meanings.instance = line.instance and meanings.word_id = line.product_id
    where meanings.word_kind = 'product'
    union
    select
        'order' as document_kind,
        line.instance,
        line.order_id as document_id
    from meanings
    inner join {{ order_lines }} as line
        on meanings.instance = line.instance and meanings.word_id = line.cancellation_reason_id
    where meanings.word_kind = 'reason'
    union
    select
        'shipment' as document_kind,
        line.instance,
        line.shipment_id as document_id
    from meanings
    inner join {{ shipment_lines }} as line on meanings.instance = line.instance and meanings.word_id = line.product_id
    where meanings.word_kind = 'product'
    union
    select
        'return' as document_kind,
        line.instance,
        line.return_id as document_id
    from meanings
    inner join {{ return_lines }} as line on meanings.instance = line.instance and meanings.word_id = line.product_id
    where meanings.word_kind = 'product'
)

select
    coalesce(documents.document_kind, built.document_kind) as document_kind,
    coalesce(documents.instance, built.instance) as instance,
    coalesce(documents.document_id, built.document_id) as document_id,
    documents.outlet_id,
    documents.document_on,
    documents.fingerprint,
    built.outlet_id as outlet_id_before,
    built.document_on as document_on_before
from documents
full outer join built
    on
        documents.document_kind = built.document_kind
        and documents.instance = built.instance
        and documents.document_id = built.document_id
left join told_otherwise
    on
        coalesce(documents.document_kind, built.document_kind) = told_otherwise.document_kind
        and coalesce(documents.instance, built.instance) = told_otherwise.instance
        and coalesce(documents.document_id, built.document_id) = told_otherwise.document_id
where
    {{ 'true' if flags.FULL_REFRESH else 'false' }}
    or coalesce(documents.fingerprint <> built.fingerprint, true)
    or told_otherwise.document_id is not null
    or exists (
        select 1 from meanings
        where meanings.word_kind = 'rules'
    )
    or coalesce(documents.instance, built.instance) in (
        select meanings.instance from meanings
        where meanings.word_kind = 'zone'
    )
{% if carried is not none -%}
{% for before in ['', '_before'] -%}
union
select
    carried.document_kind,
    carried.instance,
    carried.document_id,
    documents.outlet_id,
    documents.document_on,
    documents.fingerprint,
    carried.outlet_id{{ before }} as outlet_id_before,
    carried.document_on{{ before }} as document_on_before
from {{ carried }} as carried
left join documents
    on
        carried.document_kind = documents.document_kind
        and carried.instance = documents.instance
        and carried.document_id = documents.document_id
{% endfor -%}
{%- endif %}
{%- endif %}
