{{ config(indexes=[{'columns': ['instance', 'metric', 'month_start', 'slice_kind', 'slice_id'], 'unique': true}]) }}

-- Every KPI, month and slice: value, target, whether it was met, and how much of the month the value speaks of. A target of the
-- slice itself (by its name or code) goes before the general one; people's targets go before the examples.
with slices as (
    select * from {{ ref('int_kpi_slice') }}
),

targets as (
    select * from {{ ref('kpi_target') }}
),

named as (
    select
        instance,
        'territory' as slice_kind,
        territory_id as slice_id,
        name as slice_name
    from {{ ref('stg_onec__business_region') }}
    union all
    select
        instance,
        'rep' as slice_kind,
        manager_id as slice_id,
        name as slice_name
    from {{ ref('stg_onec__manager') }}
),

days as (
    select
        cast(date_trunc('month', date_day) as date) as month_start,
        count(*) filter (where is_working_day) as working_days,
        count(*) filter (where is_working_day and date_day <= {{ as_of() }}) as working_days_elapsed
    from {{ ref('int_calendar') }}
    group by cast(date_trunc('month', date_day) as date)
),

joined as (
    select
        slices.*,
        coalesce(named.slice_name, slices.slice_id) as slice_name,
        cast(slices.month_start + interval '1 month - 1 day' as date) as month_end,
        days.working_days,
        days.working_days_elapsed
    from slices
    left join named
        on
            slices.instance = named.instance
            and slices.slice_kind = named.slice_kind
            and slices.slice_id = named.slice_id
    left join days on slices.month_start = days.month_start
),

chosen as (
    select distinct on (joined.instance, joined.metric, joined.month_start, joined.slice_kind, joined.slice_id)
        joined.instance,
        joined.metric,
        joined.month_start,
        joined.slice_kind,
        joined.slice_id,
        targets.value as target_value,
        targets.is_lower_better,
        targets.target_set
    from joined
    inner join targets
        on
            joined.metric = targets.metric
            and coalesce(targets.instance, joined.instance) = joined.instance
            and coalesce(targets.segment, joined.slice_name) in (joined.slice_name, joined.slice_id)
            and least(joined.month_end, {{ as_of() }}) between targets.valid_from_day and targets.valid_to_day
    order by
        joined.instance, joined.metric, joined.month_start, joined.slice_kind, joined.slice_id,
        targets.segment is null, targets.target_set <> 'reference', targets.instance is null, targets.valid_from_day desc,
        targets.target_set
)

select
    joined.instance,
    joined.metric,
    joined.month_start,
    joined.slice_kind,
    joined.slice_id,
    joined.slice_name,
    cast(joined.value as numeric(24, 4)) as value,
    cast(joined.high_value as numeric(24, 4)) as high_value,
    cast(joined.numerator as numeric(24, 6)) as numerator,
    cast(joined.denominator as numeric(24, 6)) as denominator,
    joined.missing_reason,
    chosen.target_value,
    chosen.target_set,
    case
        when joined.value is null then 'no_data'
        when chosen.target_value is null then 'no_target'
        when chosen.is_lower_better and joined.value <= chosen.target_value then 'met'
        when not chosen.is_lower_better and joined.value >= chosen.target_value then 'met'
        else 'missed'
    end as status,
    joined.month_end <= {{ as_of() }} as is_complete,
    cast(
        round(100.0 * joined.working_days_elapsed / nullif(joined.working_days, 0), 2) as numeric(6, 2)
    ) as elapsed_percent,
    -- Of sums only: a ratio does not grow with the days.
    cast(
        case
            when joined.missing_reason is null and joined.metric in ('average_order', 'order_frequency')
                then round(joined.numerator * joined.working_days / nullif(joined.working_days_elapsed, 0), 6)
        end as numeric(24, 6)
    ) as numerator_run_rate
from joined
left join chosen
    on
        joined.instance = chosen.instance
        and joined.metric = chosen.metric
        and joined.month_start = chosen.month_start
        and joined.slice_kind = chosen.slice_kind
        and joined.slice_id = chosen.slice_id
