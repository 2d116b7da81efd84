{{ config(materialized='table', post_hook='{{ analyze_this() }}') }}

-- Every KPI of a month for everybody, and by channel, territory, rep and ABC class. A KPI whose data are missing somewhere in
-- the slice has no value there, and says why.
with parts as (
    select * from {{ ref('int_kpi_part') }}
),

sliced as (
    select
        parts.instance,
        parts.metric,
        parts.month_start,
        slices.slice_kind,
        slices.slice_id,
        sum(parts.numerator) as numerator,
        sum(parts.denominator) as denominator,
        min(parts.missing_reason) as missing_reason
    from parts
    cross join
        lateral (
            values
            ('all', 'all'),
            ('channel', parts.channel),
            ('territory', parts.territory_id),
            ('rep', parts.manager_id),
            ('segment', parts.abc_class)
        ) as slices (slice_kind, slice_id)
    where slices.slice_id is not null
    group by parts.instance, parts.metric, parts.month_start, slices.slice_kind, slices.slice_id
),

-- Time from order to first shipment, in working days. Orders for a later day are judged by their promise, not here; an
-- order that is not shipped yet has no time.
orders as (
    select
        fulfilment.instance,
        cast(date_trunc('month', fulfilment.ordered_on) as date) as month_start,
        coalesce(outlets.channel, 'unknown') as channel,
        coalesce(outlets.territory_id, 'unknown') as territory_id,
        coalesce(reps.manager_id, fulfilment.manager_id, 'unknown') as manager_id,
        coalesce(segments.abc_class, 'none') as abc_class,
        fulfilment.processing_hours / ({{ var('work_day_ends') }} - {{ var('work_day_begins') }}) as days
    from {{ ref('order_fulfilment') }} as fulfilment
    left join {{ ref('int_outlet') }} as outlets
        on fulfilment.instance = outlets.instance and fulfilment.outlet_id = outlets.outlet_id
    left join {{ ref('int_outlet_manager') }} as reps
        on
            fulfilment.instance = reps.instance
            and fulfilment.outlet_id = reps.outlet_id
            and fulfilment.ordered_on between reps.valid_from and reps.valid_to
    left join {{ ref('int_calendar') }} as calendar on fulfilment.ordered_on = calendar.date_day
    left join {{ ref('client_segment') }} as segments
        on
            fulfilment.instance = segments.instance
            and fulfilment.client_id = segments.client_id
            and segments.month_start = cast(date_trunc('month', fulfilment.ordered_on) as date)
    where
        fulfilment.processing_hours is not null
        and fulfilment.ordered_on <= {{ as_of() }}
        and fulfilment.first_shipped_on <= {{ as_of() }}
        and fulfilment.ordered_on >= date_trunc('month', {{ as_of() }}) - interval '{{ var('kpi_months') }} months' + interval '1 month'
        and (fulfilment.promised_on is null or fulfilment.promised_on <= coalesce(calendar.following_delivery_day, fulfilment.ordered_on))
),

processed as (
    select
        orders.instance,
        'processing_days' as metric,
        orders.month_start,
        slices.slice_kind,
        slices.slice_id,
        cast(sum(orders.days) as numeric) as numerator,
        cast(count(*) as numeric) as denominator,
        cast({{ exact_median('orders.days') }} as numeric) as median_value,
        cast(percentile_disc(0.9) within group (order by orders.days) as numeric) as high_value
    from orders
    cross join
        lateral (
            values
            ('all', 'all'),
            ('channel', orders.channel),
            ('territory', orders.territory_id),
            ('rep', orders.manager_id),
            ('segment', orders.abc_class)
        ) as slices (slice_kind, slice_id)
    group by orders.instance, orders.month_start, slices.slice_kind, slices.slice_id
),

-- Months of each slice: a KPI that has no row of its own in them is missing, not forgotten.
known as (
    select * from (
        values
        ('average_order', 'no_orders'),
        ('order_frequency', 'no_orders'),
        ('return_percent', 'no_shipments'),
        ('wholesale_percent', 'no_shipments'),
        ('processing_days', 'no_orders_with_shipments'),
        ('margin_percent', 'no_shipments'),
        ('contribution_percent', 'no_shipments'),
        ('satisfaction_score', 'no_survey'),
        ('survey_response_percent', 'no_survey'),
        ('tenure_percent', 'nobody_bought'),
        ('first_year_retention_percent', 'too_little_history'),
        ('acquisition_cost', 'not_by_slice')
    ) as metrics (metric, reason_without_rows)
),

frame as (
    select distinct
        sliced.instance,
        sliced.month_start,
        sliced.slice_kind,
        sliced.slice_id
    from sliced
),

valued as (
    select
        frame.*,
        known.metric,
        coalesce(sliced.numerator, processed.numerator) as numerator,
        coalesce(sliced.denominator, processed.denominator) as denominator,
        processed.median_value,
        processed.high_value,
        coalesce(
            sliced.missing_reason,
            case
                when sliced.metric is null and processed.metric is null then known.reason_without_rows
                when known.metric = 'acquisition_cost' and coalesce(sliced.denominator, 0) = 0 then 'no_new_clients'
                when
                    known.metric = 'satisfaction_score' and sliced.denominator < {{ var('min_survey_answers') }}
                    then 'too_few_answers'
                when known.metric = 'order_frequency' and coalesce(sliced.denominator, 0) <= 0 then 'no_orders'
                when coalesce(sliced.denominator, processed.denominator, 0) <= 0 then known.reason_without_rows
            end
        ) as missing_reason
    from frame
    cross join known
    left join sliced
        on
            frame.instance = sliced.instance
            and frame.month_start = sliced.month_start
            and frame.slice_kind = sliced.slice_kind
            and frame.slice_id = sliced.slice_id
            and known.metric = sliced.metric
    left join processed
        on
            frame.instance = processed.instance
            and frame.month_start = processed.month_start
            and frame.slice_kind = processed.slice_kind
            and frame.slice_id = processed.slice_id
            and known.metric = processed.metric
)

select
    instance,
    metric,
    month_start,
    slice_kind,
    slice_id,
    cast(numerator as numeric(24, 6)) as numerator,
    cast(denominator as numeric(24, 6)) as denominator,
    cast(high_value as numeric(24, 4)) as high_value,
    missing_reason,
    cast(
        case
            when missing_reason is null
                then coalesce(median_value, case when metric like '%percent' then 100 else 1 end * numerator / denominator)
        end as numeric(24, 4)
    ) as value
from valued
