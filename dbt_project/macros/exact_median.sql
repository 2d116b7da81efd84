{#- Median of an exact number, kept exact: percentile_cont would turn money into a float. `only` is a condition. -#}
{% macro exact_median(expression, only=none) -%}
    (
        percentile_disc(0.5) within group (order by {{ expression }}){% if only %} filter (where {{ only }}){% endif %}
        + percentile_disc(0.5) within group (order by {{ expression }} desc){% if only %} filter (where {{ only }}){% endif %}
    ) / 2.0
{%- endmacro %}
