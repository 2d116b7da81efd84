{%- set methods = ['seasonal_naive', 'moving_average', 'median_regression'] %}

-- How wrong each method was per segment, and which one is believed. Chosen on the weeks before the last eight and judged on
-- the last eight, which the choice did not see; where it is no better there than last year's week, last year's week is used.
with errors as (
    select
        instance,
        made_for_week,
        segment,
        trial,
        method,
        count(distinct warehouse_id || ' ' || product_id) as series_total,
        sum(ordered_quantity) as ordered,
        sum(abs(predicted_quantity - ordered_quantity)) as absolute_error,
        sum(predicted_quantity - ordered_quantity) as error
    from {{ ref('int_demand_prediction') }}
    where trial <> 'coming'
    group by instance, made_for_week, segment, trial, method
),

-- Positions that were ordered for the first time since then have a forecast and no trial.
segments as (
    select distinct
        instance,
        made_for_week,
        segment
    from {{ ref('int_demand_prediction') }}
),

chosen as (
    select distinct on (instance, segment)
        instance,
        segment,
        method
    from errors
    where trial = 'earlier'
    order by
        instance,
        segment,
        absolute_error,
        -- Of equals, the simplest.
        case method when 'seasonal_naive' then 1 when 'moving_average' then 2 else 3 end
),

used as (
    select
        segments.*,
        chosen.method as chosen_method,
        case
            when judged.absolute_error < baseline.absolute_error then chosen.method
            else 'seasonal_naive'
        end as method,
        case
            when chosen.method is null or judged.absolute_error is null then 'not_enough_history'
            when chosen.method = 'seasonal_naive' then 'baseline_was_best'
            when judged.absolute_error < baseline.absolute_error then 'better_than_baseline'
            else 'not_confirmed'
        end as method_reason,
        -- Without a choice, last year's week is what would have been used.
        coalesce(judged.absolute_error, baseline.absolute_error) as absolute_error,
        coalesce(judged.error, baseline.error) as error,
        coalesce(judged.ordered, baseline.ordered) as ordered
    from segments
    left join chosen on segments.instance = chosen.instance and segments.segment = chosen.segment
    left join errors as judged
        on
            chosen.instance = judged.instance
            and chosen.segment = judged.segment
            and chosen.method = judged.method
            and judged.trial = 'last'
    left join errors as baseline
        on
            segments.instance = baseline.instance
            and segments.segment = baseline.segment
            and baseline.method = 'seasonal_naive'
            and baseline.trial = 'last'
),

sliced as (
    select
        instance,
        segment,
        {% for method in methods -%}
        {% for trial in ['last', 'earlier'] -%}
        100 * sum(absolute_error) filter (where method = '{{ method }}' and trial = '{{ trial }}')
        / nullif(sum(ordered) filter (where method = '{{ method }}' and trial = '{{ trial }}'), 0) as {{ method }}_{{ trial }}_wape,
        {% endfor -%}
        100 * sum(error) filter (where method = '{{ method }}' and trial = 'last')
        / nullif(sum(ordered) filter (where method = '{{ method }}' and trial = 'last'), 0) as {{ method }}_bias,
        {% endfor -%}
        sum(series_total) filter (where method = 'seasonal_naive' and trial = 'last') as series_total,
        sum(ordered) filter (where method = 'seasonal_naive' and trial = 'last') as ordered
    from errors
    group by grouping sets ((instance, segment), (instance))
),

choices as (
    select
        instance,
        segment,
        max(made_for_week) as made_for_week,
        case when segment is not null then max(chosen_method) end as chosen_method,
        case when segment is not null then max(method) end as method,
        case when segment is not null then max(method_reason) end as method_reason,
        100 * sum(absolute_error) / nullif(sum(ordered), 0) as wape,
        100 * sum(error) / nullif(sum(ordered), 0) as bias
    from used
    group by grouping sets ((instance, segment), (instance))
)

select
    choices.instance,
    case when choices.segment is null then 'total' else 'segment' end as slice,
    choices.segment,
    choices.made_for_week as made_for_week_start,
    coalesce(sliced.series_total, 0) as series_total,
    cast(sliced.ordered as numeric(24, 6)) as ordered_quantity,
    {% for method in methods -%}
    cast(round(sliced.{{ method }}_last_wape, 2) as numeric(12, 2)) as {{ method }}_wape_percent,
    cast(round(sliced.{{ method }}_bias, 2) as numeric(12, 2)) as {{ method }}_bias_percent,
    cast(round(sliced.{{ method }}_earlier_wape, 2) as numeric(12, 2)) as {{ method }}_earlier_wape_percent,
    {% endfor -%}
    choices.chosen_method,
    cast(round(choices.wape, 2) as numeric(12, 2)) as wape_percent,
    cast(round(choices.bias, 2) as numeric(12, 2)) as bias_percent,
    choices.method,
    choices.method_reason
from choices
left join sliced on choices.instance = sliced.instance and coalesce(choices.segment, '') = coalesce(sliced.segment, '')
