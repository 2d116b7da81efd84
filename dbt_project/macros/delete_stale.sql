{#-
  First half of an incremental fact: delete the lines of every document that is no longer what it was when they were
  written. The model's body then adds the documents that changed and are still there. A build that was killed half-way
  keeps no state, so the next one writes the same documents again. Lines without such a state are not to be trusted.
-#}
{% macro delete_changed_documents(document_kind, document_id) -%}
{%- set changed = ref('int_document_changed') -%}
{% if not is_incremental() %}
select 1
{% elif built_keys('int_document_built') is none or built_keys('int_meaning_built') is none %}
delete from {{ this }}
{% else %}
delete from {{ this }} as fact
using {{ changed }} as changed
where
    changed.document_kind = '{{ document_kind }}'
    and fact.instance = changed.instance
    and fact.{{ document_id }} = changed.document_id
{% endif %}
{%- endmacro %}

{#-
  Second half: a condition on the lines. While few documents changed (an ordinary day), sets and not joins: such conditions
  reach the landed tables below the views, so that documents are read by their keys. PostgreSQL plans a set as a handful,
  which loops over many; many are joined. The header's and the line's column are both named, as neither follows from the
  other.
-#}
{% macro of_changed_documents(document_kind, columns) -%}
{%- set changed = ref('int_document_changed') -%}
{%- if not execute or few_changed_documents(document_kind) -%}
    instance = any(array(select distinct changed.instance from {{ changed }} as changed))
    {%- for column in columns %}
    and {{ column }} = any(
        array(select changed.document_id from {{ changed }} as changed where changed.document_kind = '{{ document_kind }}')
    )
    {%- endfor %}
    -- Bases that exchange documents know one by the same id: only that of its own base changed.
    and
{%- endif %}
    (instance, {{ columns[0] }}) in (
        select
            changed.instance,
            changed.document_id
        from {{ changed }} as changed
        where changed.document_kind = '{{ document_kind }}'
    )
{%- endmacro %}

{% macro few_changed_documents(document_kind) -%}
    {%- if built_relation('intermediate', 'int_document_changed') is none -%}
        {{ return(true) }}
    {%- endif -%}
    {%- set found = run_query(
        "select count(*) from " ~ ref('int_document_changed') ~ " where document_kind = '" ~ document_kind ~ "'"
    ) -%}
    {{ return(found.columns[0].values()[0] <= 3000) }}
{%- endmacro %}

{#- What is remembered of the documents themselves. -#}
{% macro delete_changed_documents_built() -%}
{%- set changed = ref('int_document_changed') -%}
{% if is_incremental() %}
delete from {{ this }} as document
using {{ changed }} as changed
where
    document.document_kind = changed.document_kind
    and document.instance = changed.instance
    and document.document_id = changed.document_id
{% else %}
select 1
{% endif %}
{%- endmacro %}

{#- Days of outlets whose orders changed, those they had been on before as well. -#}
{% macro changed_order_days() -%}
{%- set changed = ref('int_document_changed') -%}
    select
        changed.instance,
        changed.outlet_id,
        changed.document_on as ordered_on
    from {{ changed }} as changed
    where changed.document_kind = 'order'
    union
    select
        changed.instance,
        changed.outlet_id_before as outlet_id,
        changed.document_on_before as ordered_on
    from {{ changed }} as changed
    where changed.document_kind = 'order'
{%- endmacro %}

{#- The same for occasions: the unit is an outlet's day. -#}
{% macro delete_changed_occasions() -%}
{%- set changed = ref('int_document_changed') -%}
{% if not is_incremental() %}
select 1
{% elif built_keys('int_document_built') is none or built_keys('int_meaning_built') is none %}
delete from {{ this }}
{% else %}
delete from {{ this }} as fact
using ({{ changed_order_days() }}) as changed
where fact.instance = changed.instance and fact.outlet_id = changed.outlet_id and fact.ordered_on = changed.ordered_on
{% endif %}
{%- endmacro %}

{#- For models with one set of rows per business date: forget the date that is being built. -#}
{% macro delete_as_of() -%}
{% if is_incremental() %}
delete from {{ this }} where as_of = {{ as_of() }}
{% else %}
select 1
{% endif %}
{%- endmacro %}

{#- For distribution: months that changed are written anew; rolling windows are kept for every date built. -#}
{% macro delete_replaced_periods() -%}
{%- set changed = ref('int_distribution_month_changed') -%}
{% if not is_incremental() %}
select 1
{% elif built_keys('int_distribution_month_built') is none or flags.FULL_REFRESH %}
delete from {{ this }} where period_kind = 'month' or period_end = {{ as_of() }}
{% else %}
delete from {{ this }} as fact
where
    (fact.period_kind = 'rolling' and fact.period_end = {{ as_of() }})
    or (
        fact.period_kind = 'month'
        and (fact.instance, fact.period_start) in (
            select
                changed.instance,
                changed.month_start
            from {{ changed }} as changed
        )
    )
{% endif %}
{%- endmacro %}
