{#-
  Marts that cost much are recomputed key by key. Before they are built, the present fingerprint of each key is compared
  with the one they were last built from; after all of them, the present ones are kept (models int_*_built). A build that
  dies half-way keeps nothing, so the next one recomputes the same keys: nothing is lost, nothing is counted twice.

  `built_keys` is the kept table, or none before the first build. The models that keep the state depend on everything
  built from it, so it cannot be asked for by ref().
-#}
{% macro built_keys(model_name) -%}
    {{ return(built_relation('intermediate', model_name)) }}
{%- endmacro %}

{% macro built_relation(schema_name, model_name) -%}
    {{ return(adapter.get_relation(target.database, schema_name, model_name) if execute else none) }}
{%- endmacro %}

{#- First half of a mart by outlet and order day: forget the changed days and what follows them, and what is too old. -#}
{% macro delete_changed_order_days() -%}
{%- set changed = ref('int_order_day_changed') -%}
{% if is_incremental() %}
delete from {{ this }} as fact
using {{ changed }} as changed
where
    fact.instance = changed.instance
    and fact.outlet_id = changed.outlet_id
    and fact.ordered_on >= changed.changed_from;
delete from {{ this }} where ordered_on <= {{ as_of() }} - {{ var('order_gap_history_days') }}
{% else %}
select 1
{% endif %}
{%- endmacro %}

{#- The same for marts by outlet and month. -#}
{% macro delete_changed_outlet_months() -%}
{%- set changed = ref('int_outlet_month_changed') -%}
{% if is_incremental() %}
delete from {{ this }} as fact
using {{ changed }} as changed
where
    fact.instance = changed.instance
    and fact.outlet_id = changed.outlet_id
    and fact.month_start = changed.month_start
{% else %}
select 1
{% endif %}
{%- endmacro %}

{#- For marts by month that look back over a year: a changed month changes the eleven after it as well. -#}
{% macro delete_months_of_changed_years() -%}
{%- set changed = ref('int_outlet_month_changed') -%}
{% if is_incremental() %}
delete from {{ this }} as fact
using (select distinct instance, month_start from {{ changed }}) as changed
where
    fact.instance = changed.instance
    and fact.month_start >= changed.month_start
    and fact.month_start < changed.month_start + interval '12 months'
{% else %}
select 1
{% endif %}
{%- endmacro %}

{#- For what needs the whole history of an outlet. -#}
{% macro delete_changed_outlets() -%}
{%- set changed = ref('int_outlet_month_changed') -%}
{% if is_incremental() %}
delete from {{ this }} as fact
using (select distinct instance, outlet_id from {{ changed }}) as changed
where fact.instance = changed.instance and fact.outlet_id = changed.outlet_id
{% else %}
select 1
{% endif %}
{%- endmacro %}

{#- The same for orders with what was shipped for them. -#}
{% macro delete_changed_orders() -%}
{%- set changed = ref('int_order_changed') -%}
{% if is_incremental() %}
delete from {{ this }} as fact
using {{ changed }} as changed
where fact.instance = changed.instance and fact.order_id = changed.order_id
{% else %}
select 1
{% endif %}
{%- endmacro %}

{#- Working hours from the beginning of the calendar to a moment: so many per working day, and the part of its own day. -#}
{% macro working_hours(moment, day) -%}
    {{ day }}.working_day_no * ({{ var('work_day_ends') }} - {{ var('work_day_begins') }})
    - case
        when {{ day }}.is_working_day
            then least(
                greatest({{ var('work_day_ends') }} - extract(epoch from cast({{ moment }} as time)) / 3600.0, 0),
                {{ var('work_day_ends') }} - {{ var('work_day_begins') }}
            )
        else 0
    end
{%- endmacro %}

{#- The day's picture of the stock is read anew; earlier days stay. -#}
{% macro delete_stock_read_again() -%}
{%- set pictures = ref('int_stock_picture') -%}
{% if is_incremental() %}
delete from {{ this }} as fact
using {{ pictures }} as picture
where fact.instance = picture.instance and fact.stock_on = picture.stock_on
{% else %}
select 1
{% endif %}
{%- endmacro %}
