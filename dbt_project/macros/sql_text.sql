{#- A text as an SQL literal. -#}
{% macro sql_text(text) -%}
    cast('{{ (text or '') | replace("'", "''") }}' as text)
{%- endmacro %}
