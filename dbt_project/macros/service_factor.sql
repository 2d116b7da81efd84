{#- How many standard deviations of the error to keep in stock, so that demand is met in this share of the cycles. -#}
{% macro service_factor(level) -%}
    {%- set factors = {0.8: 0.842, 0.85: 1.036, 0.9: 1.282, 0.95: 1.645, 0.97: 1.881, 0.98: 2.054, 0.99: 2.326, 0.995: 2.576} -%}
    {%- if execute and level not in factors -%}
        {{ exceptions.raise_compiler_error(
            "reorder_service_level is " ~ level ~ "; choose one of " ~ (factors.keys() | join(", "))
        ) }}
    {%- endif -%}
    {{ factors.get(level, 1) }}
{%- endmacro %}
