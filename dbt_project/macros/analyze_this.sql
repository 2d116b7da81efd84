{#- Fresh statistics, so that the next model of the same build is planned for the rows that are really there. -#}
{% macro analyze_this() -%}
    analyze {{ this }}
{%- endmacro %}
