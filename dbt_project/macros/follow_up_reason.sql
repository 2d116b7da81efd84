{#- The part of a reason's evidence that says which outlet it is about. -#}
{% macro outlet_words(outlets) -%}
    'outlet_id', {{ outlets }}.outlet_id,
            'name', {{ outlets }}.outlet_name,
            'format', {{ outlets }}.outlet_format_name,
            'address', {{ outlets }}.address
{%- endmacro %}

{#- What an outlet that stopped ordering (or is about to) did so far, from order_expectation. -#}
{% macro silence_words(expectations, outlets) -%}
    jsonb_build_object(
            {{ outlet_words(outlets) }},
            'basis', {{ expectations }}.basis,
            'cadence_days', trim_scale({{ expectations }}.cadence_days),
            'weekdays', {{ expectations }}.weekdays,
            'every_weeks', {{ expectations }}.every_weeks,
            'last_ordered_on', {{ expectations }}.last_ordered_on,
            'last_order_number', {{ expectations }}.last_order_number,
            'due_on', {{ expectations }}.next_due_on,
            'missed_due_dates', to_jsonb({{ expectations }}.missed_due_dates),
            'missed_cycles', {{ expectations }}.missed_cycles,
            'median_amount', {{ expectations }}.median_amount,
            'usual_positions', {{ expectations }}.usual_positions,
            'money_at_risk', {{ expectations }}.money_at_risk
        )
{%- endmacro %}

{#- How many orders an outlet still places in the next four weeks, by its own rhythm; one at least. -#}
{% macro orders_left(cadence_days) -%}
    greatest(
        round({{ var('gap_horizon_days') }} / greatest(coalesce({{ cadence_days }}, {{ var('placement_default_cycle_days') }}), 1)), 1
    )
{%- endmacro %}
