{#- The business date the build is made for, as an SQL date. Never the clock: any past list can be rebuilt. -#}
{% macro as_of() -%}
    {%- set day = var('as_of', none) -%}
    {%- if day is none and execute -%}
        {{ exceptions.raise_compiler_error("Say the business date: --vars '{as_of: YYYY-MM-DD}'") }}
    {%- endif -%}
    cast('{{ day }}' as date)
{%- endmacro %}
