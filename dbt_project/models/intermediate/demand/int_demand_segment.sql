-- How big a position is (ABC by what was ordered of it in a year) and how even (XYZ by its weeks): each segment of positions
-- gets the method that proved right for it.
with weeks as (
    select * from {{ ref('int_weekly_demand') }}
),

series as (
    select
        instance,
        warehouse_id,
        product_id,
        (date_trunc('week', {{ as_of() }})::date - min(week_start)) / 7 as history_weeks,  -- noqa: CV11
        least((date_trunc('week', {{ as_of() }})::date - min(week_start)) / 7, 52) as weeks_total,  -- noqa: CV11
        sum(ordered_amount) filter (where is_recent) as amount,
        sum(ordered_quantity) filter (where is_recent) as quantity,
        sum(power(ordered_quantity, 2)) filter (where is_recent) as squares
    from (
        select
            *,
            week_start >= date_trunc('week', {{ as_of() }}) - interval '52 weeks' as is_recent
        from weeks
    ) as dated
    group by instance, warehouse_id, product_id
    having bool_or(is_recent)
),

varied as (
    select
        *,
        sqrt(greatest(squares / weeks_total - power(quantity / weeks_total, 2), 0)) / (quantity / weeks_total) as variation,
        sum(amount) over (partition by instance order by amount desc, product_id, warehouse_id) - amount as amount_before,
        sum(amount) over (partition by instance) as amount_of_all
    from series
)

select
    instance,
    warehouse_id,
    product_id,
    history_weeks,
    variation,
    case
        when history_weeks < {{ var('xyz_min_weeks') }} then 'new'
        else
            case
                when amount_before < {{ var('abc_a_share') }} * amount_of_all then 'A'
                when amount_before < ({{ var('abc_a_share') }} + {{ var('abc_b_share') }}) * amount_of_all then 'B'
                else 'C'
            end
            || case
                when variation <= {{ var('xyz_x_max') }} then 'X'
                when variation <= {{ var('xyz_y_max') }} then 'Y'
                else 'Z'
            end
    end as segment
from varied
