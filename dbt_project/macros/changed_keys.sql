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

{#- What a build that died had still to do: the keys kept by the model itself, or none. They are forgotten at the end. -#}
{% macro carried_over(model_name) -%}
    {%- set relation = built_relation('intermediate', model_name) -%}
    {%- if relation is none or not execute -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set found = run_query("select count(*) from (select 1 from " ~ relation ~ " limit 1) as kept") -%}
    {{ return(relation if found.columns[0].values()[0] > 0 else none) }}
{%- endmacro %}

{#- Everything that was to be recomputed has been. -#}
{% macro forget_changed(model_names) -%}
    {%- for model_name in model_names -%}
        {%- set relation = built_relation('intermediate', model_name) -%}
        {%- if relation is not none %}
delete from {{ relation }};
        {%- endif -%}
    {%- endfor %}
select 1
{%- endmacro %}

{#-
  One word for how the incremental marts are computed: their code and that of all they are made of, without comments, and
  the vars named in it. Another word, and everything is computed anew by the next build. `macros_version` speaks for what
  this cannot see: raise it with any change of a macro that such a model calls.
-#}
{% macro definition_of(model_names) -%}
    {%- set macros_version = 1 -%}
    {%- if not execute -%}
        {{ return('') }}
    {%- endif -%}
    {%- set pending = [] -%}
    {%- set seen = {} -%}
    {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.name in model_names -%}
        {%- do pending.append(node.unique_id) -%}
    {%- endfor -%}
    {%- for turn in range(graph.nodes | length + 1) if pending -%}
        {%- set ids = pending | unique | list -%}
        {%- do pending.clear() -%}
        {%- for id in ids if id in graph.nodes and id not in seen -%}
            {%- set node = graph.nodes[id] -%}
            {%- set code = modules.re.sub('(?s)--[^\n]*|[{]#.*?#[}]|\\s+', ' ', node.raw_code or '') -%}
            {%- set used = modules.re.findall("var[(]['\"](\\w+)['\"]", code) | unique | sort -%}
            {%- set words = [code] -%}
            {%- for name in used if name != 'as_of' -%}
                {%- do words.append(name ~ '=' ~ tojson(var(name, none))) -%}
            {%- endfor -%}
            {%- do seen.update({id: words | join(' ')}) -%}
            {%- do pending.extend(node.depends_on.nodes) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- set all = [macros_version ~ ''] -%}
    {%- for id in seen | sort -%}
        {%- do all.append(seen[id]) -%}
    {%- endfor -%}
    {{ return(local_md5(all | join(' '))) }}
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
{% macro delete_changed_outlet_months(changed_by='int_outlet_month_changed') -%}
{%- set changed = ref(changed_by) -%}
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

{#- For what follows from int_outlet_words: without what was known when it was built, it is not to be trusted. -#}
{% macro delete_of_changed_words(statements) -%}
{% if is_incremental() and built_keys('int_outlet_words_built') is none %}
delete from {{ this }}
{% else %}
{{ statements }}
{% endif %}
{%- endmacro %}

{#- For outlets in every period: rolling days, outlets of which more is known, their changed months, months without sales. -#}
{% macro delete_changed_universe() -%}
{%- set words = ref('int_outlet_words_changed') -%}
{%- set months = ref('int_outlet_month_changed') -%}
{%- set sold = ref('int_outlet_month') -%}
{% if is_incremental() %}
delete from {{ this }} where period_kind = 'rolling';
delete from {{ this }} as fact
using {{ words }} as changed
where fact.instance = changed.instance and fact.outlet_id = changed.outlet_id;
delete from {{ this }} as fact
using {{ months }} as changed
where
    fact.instance = changed.instance
    and fact.outlet_id = changed.outlet_id
    and fact.period_start = changed.month_start;
delete from {{ this }} as fact
using (select distinct instance, month_start from {{ months }}) as changed
where
    fact.instance = changed.instance
    and fact.period_start = changed.month_start
    and not exists (
        select 1
        from {{ sold }} as sold
        where
            sold.instance = changed.instance
            and sold.month_start = changed.month_start
            and sold.positions > 0
            and sold.outlet_id <> 'unknown'
    )
{% else %}
select 1
{% endif %}
{%- endmacro %}

{#- For silences: those after the last sign of life that stays as it is, that one's own included. -#}
{% macro delete_changed_silences() -%}
{%- set changed = ref('int_outlet_silence_changed') -%}
{% if is_incremental() %}
delete from {{ this }} as fact
using {{ changed }} as changed
where
    fact.instance = changed.instance
    and fact.outlet_id = changed.outlet_id
    and fact.sign_on >= changed.written_from
{% else %}
select 1
{% endif %}
{%- endmacro %}

{#- The same for days of clients. -#}
{% macro delete_changed_client_months(day) -%}
{%- set changed = ref('int_client_month_changed') -%}
{% if is_incremental() %}
delete from {{ this }} as fact
using {{ changed }} as changed
where
    fact.instance = changed.instance
    and fact.client_id = changed.client_id
    and fact.{{ day }} >= changed.month_start
    and fact.{{ day }} < changed.month_start + interval '1 month'
{% else %}
select 1
{% endif %}
{%- endmacro %}

{#- For what is counted over all outlets of a month. -#}
{% macro delete_changed_months(changed_by='int_outlet_month_changed') -%}
{%- set changed = ref(changed_by) -%}
{% if is_incremental() %}
delete from {{ this }} as fact
using (select distinct instance, month_start from {{ changed }}) as changed
where fact.instance = changed.instance and fact.month_start = changed.month_start
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

{#- For what needs the whole history of an outlet: all of it, or what comes after its first changed month. -#}
{% macro delete_changed_outlets(day=none) -%}
{%- set changed = ref('int_outlet_month_changed') -%}
{% if is_incremental() %}
delete from {{ this }} as fact
using (
    select
        instance,
        outlet_id,
        min(month_start) as changed_from
    from {{ changed }}
    group by instance, outlet_id
) as changed
where
    fact.instance = changed.instance
    and fact.outlet_id = changed.outlet_id
    {%- if day is not none %}
    and fact.{{ day }} >= changed.changed_from
    {%- endif %}
{% else %}
select 1
{% endif %}
{%- endmacro %}

{#- For turns of orders: those after a changed day, and the few before it that look ahead to it. -#}
{% macro delete_changed_order_turns() -%}
{%- set changed = ref('int_order_turn_changed') -%}
{% if is_incremental() %}
delete from {{ this }} as fact
using {{ changed }} as changed
where
    fact.instance = changed.instance
    and fact.outlet_id = changed.outlet_id
    and fact.ordered_on >= changed.written_from
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
