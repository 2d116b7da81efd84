-- The last forecast of each source: the coming weeks, and the same methods tried on weeks that had passed: the last eight,
-- and the eight before.
with newest as (
    select
        instance,
        max(made_for_week) as made_for_week
    from {{ ref('stg_ops__demand_series') }}
    group by instance
),

origins as (
    select
        predictions.instance,
        predictions.origin_week,
        case
            when predictions.origin_week = predictions.made_for_week then 'coming'
            when
                predictions.origin_week
                = max(predictions.origin_week) filter (where predictions.origin_week < predictions.made_for_week)
                    over (partition by predictions.instance)
                then 'last'
            else 'earlier'
        end as trial
    from (
        select distinct
            all_predictions.instance,
            all_predictions.made_for_week,
            all_predictions.origin_week
        from {{ ref('stg_ops__demand_prediction') }} as all_predictions
        inner join newest
            on
                all_predictions.instance = newest.instance
                and all_predictions.made_for_week = newest.made_for_week
    ) as predictions
)

select
    predictions.instance,
    predictions.made_for_week,
    origins.trial,
    predictions.warehouse_id,
    predictions.product_id,
    series.segment,
    predictions.method,
    predictions.week_start,
    predictions.predicted_quantity,
    predictions.ordered_quantity
from {{ ref('stg_ops__demand_prediction') }} as predictions
inner join newest
    on predictions.instance = newest.instance and predictions.made_for_week = newest.made_for_week
inner join origins
    on predictions.instance = origins.instance and predictions.origin_week = origins.origin_week
inner join {{ ref('stg_ops__demand_series') }} as series
    on
        predictions.instance = series.instance
        and predictions.made_for_week = series.made_for_week
        and predictions.warehouse_id = series.warehouse_id
        and predictions.product_id = series.product_id
