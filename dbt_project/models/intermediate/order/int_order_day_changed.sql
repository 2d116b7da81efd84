{{ config(materialized='table', indexes=[{'columns': ['instance', 'outlet_id'], 'unique': true}], post_hook='{{ analyze_this() }}') }}

-- depends_on: {{ ref('int_order_basket_words') }}
-- depends_on: {{ ref('int_document_now') }}
-- Since which day the orders of an outlet are no longer those that the marts were built from; since the first when what
-- baskets are judged by has changed. Orders of the day on which our stock was last read are judged anew while it is read, and
-- those that an earlier business date judges and a later one has forgotten.
{% set judged = built_relation('marts', 'order_compliance') -%}
{% set built_words = built_keys('int_order_basket_words_built') -%}
with changed as (
    select
        instance,
        outlet_id,
        document_on as ordered_on
    from {{ ref('int_document_changed') }}
    where document_kind = 'order'
    union all
    select
        instance,
        outlet_id_before as outlet_id,
        document_on_before as ordered_on
    from {{ ref('int_document_changed') }}
    where document_kind = 'order'
    {% if built_words is not none -%}
    union all
    select
        documents.instance,
        documents.outlet_id,
        documents.document_on as ordered_on
    from {{ ref('int_document_now') }} as documents
    where
        documents.document_kind = 'order'
        and (select words.fingerprint from {{ ref('int_order_basket_words') }} as words)
        is distinct from (select words.fingerprint from {{ built_words }} as words)
    {%- endif %}
    union all
    select
        occasions.instance,
        occasions.outlet_id,
        occasions.ordered_on
    from {{ ref('fct_order_occasion') }} as occasions
    inner join {{ ref('int_stock_picture') }} as pictures
        on occasions.instance = pictures.instance and occasions.ordered_on = pictures.stock_on
    {% if judged is not none -%}
    union all
    select
        occasions.instance,
        occasions.outlet_id,
        occasions.ordered_on
    from {{ ref('fct_order_occasion') }} as occasions
    where
        occasions.ordered_on > {{ as_of() }} - {{ var('order_gap_history_days') }}
        and occasions.ordered_on < (select min(judged.ordered_on) from {{ judged }} as judged)
    {%- endif %}
)

select
    instance,
    outlet_id,
    min(ordered_on) as changed_from
from changed
where outlet_id is not null
group by instance, outlet_id
