{#- For marts by month in which everything after a change is written anew. -#}
{% macro delete_from_changed_month(changed_by) -%}
{%- set changed = ref(changed_by) -%}
{% if is_incremental() %}
delete from {{ this }} as fact
using {{ changed }} as changed
where fact.instance = changed.instance and fact.month_start >= changed.month_start
{% else %}
select 1
{% endif %}
{%- endmacro %}

{#- Months that no business date of the present build speaks of: later ones, and those before a kept span of months. -#}
{% macro delete_months_outside(kept_months=none) -%}
{% if is_incremental() %}
delete from {{ this }}
where
    month_start > {{ as_of() }}
    {%- if kept_months is not none %}
    or month_start < date_trunc('month', {{ as_of() }}) - interval '{{ kept_months }} months'
    {%- endif %}
{% else %}
select 1
{% endif %}
{%- endmacro %}

{#- Whom a client belongs to is told as it is today, in months that are not written anew as well. -#}
{% macro tell_clients_as_they_are(columns) -%}
{% if is_incremental() %}
update {{ this }} as told
set
    {%- for column in columns %}
    {{ column }} = clients.{{ column }}{{ ',' if not loop.last }}
    {%- endfor %}
from {{ ref('int_client') }} as clients
where
    told.instance = clients.instance
    and told.client_id = clients.client_id
    and (
        {%- for column in columns %}
        {{ 'or ' if not loop.first }}told.{{ column }} is distinct from clients.{{ column }}
        {%- endfor %}
    )
{% else %}
select 1
{% endif %}
{%- endmacro %}
