{#- Median of an exact number, kept exact: percentile_cont would turn money into a float. -#}
{% macro exact_median(expression) -%}
    (
        percentile_disc(0.5) within group (order by {{ expression }})
        + percentile_disc(0.5) within group (order by {{ expression }} desc)
    ) / 2.0
{%- endmacro %}
