{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook='{{ delete_changed_order_days() }}',
        post_hook='{{ analyze_this() }}',
        indexes=[
            {'columns': ['instance', 'outlet_id', 'ordered_on', 'sku_id'], 'unique': true},
            {'columns': ['ordered_on'], 'type': 'brin'},
        ]
    )
}}

-- Each occasion next to what was expected of it: positions taken, and positions agreed or habitual that are not there.
-- An occasion is judged by what came before it only, so a later day never changes it.
with turns as (
    select turn.*
    from {{ ref('int_order_turn') }} as turn
    {% if is_incremental() %}
    inner join {{ ref('int_order_day_changed') }} as changed
        on turn.instance = changed.instance and turn.outlet_id = changed.outlet_id
    {% endif %}
    where turn.ordered_on > {{ as_of() }} - {{ var('order_gap_history_days') }} - {{ var('order_gap_lookback_days') }}
),

targets as (
    select turn.*
    from turns as turn
    {% if is_incremental() %}
    inner join {{ ref('int_order_day_changed') }} as changed
        on
            turn.instance = changed.instance
            and turn.outlet_id = changed.outlet_id
            and turn.ordered_on >= changed.changed_from
    {% endif %}
    where turn.ordered_on > {{ as_of() }} - {{ var('order_gap_history_days') }}
),

-- What was asked for: lines that we cancelled are demand, lines that the client cancelled are not.
taken as (
    select
        turns.instance,
        turns.outlet_id,
        turns.ordered_on,
        turns.turn_no,
        skus.sku_id,
        sum(line.quantity * skus.units_per_unit) as ordered_quantity,
        sum(line.amount_with_vat) / nullif(sum(line.quantity * skus.units_per_unit), 0) as price,
        bool_and(line.line_status = 'cancelled_by_us') as is_cancelled_by_us,
        bool_or(promotions.sku_id is not null) as is_promotion
    from turns
    inner join {{ ref('fct_order_line') }} as line
        on
            turns.instance = line.instance
            and turns.outlet_id = line.outlet_id
            and turns.ordered_on = line.ordered_on
    inner join {{ ref('int_sku') }} as skus on line.instance = skus.instance and line.product_id = skus.product_id
    left join lateral (
        select promotion.sku_id
        from {{ ref('int_promotion') }} as promotion
        where
            promotion.instance = turns.instance
            and promotion.sku_id = skus.sku_id
            and coalesce(promotion.client_id, turns.client_id) = turns.client_id
            and turns.ordered_on between promotion.valid_from and promotion.valid_to
        limit 1
    ) as promotions on true
    where line.line_class = 'sale' and line.line_status not in ('draft', 'cancelled_by_client')
    group by turns.instance, turns.outlet_id, turns.ordered_on, turns.turn_no, skus.sku_id
    having sum(line.quantity) > 0
),

-- Each purchase with the one before it, and the days of the last ones.
purchases as (
    select
        *,
        lead(ordered_on) over own_days as next_on,
        lag(ordered_on) over own_days as previous_on,
        lag(ordered_quantity) over own_days as previous_quantity,
        lag(price) over own_days as previous_price,
        lag(is_promotion) over own_days as previous_is_promotion,
        array_agg(ordered_on) over (
            partition by instance, outlet_id, sku_id order by ordered_on
            rows between {{ var('rhythm_occasions') }} preceding and current row
        ) as last_days
    from taken
    window own_days as (partition by instance, outlet_id, sku_id order by ordered_on)
),

-- How many of the last occasions count: not more than six, not older than half a year.
habits as (
    select
        targets.instance,
        targets.outlet_id,
        targets.ordered_on,
        taken.sku_id,
        count(*) filter (where not taken.is_promotion) as times_taken,
        (
            percentile_disc(0.5) within group (order by taken.ordered_quantity) filter (where not taken.is_promotion)
            + percentile_disc(0.5) within group (order by taken.ordered_quantity desc) filter (where not taken.is_promotion)
        ) / 2.0 as usual_quantity,
        max(taken.turn_no) as last_turn_no
    from targets
    inner join taken
        on
            targets.instance = taken.instance
            and targets.outlet_id = taken.outlet_id
            and taken.turn_no between targets.turn_no - {{ var('habit_occasions') }} and targets.turn_no - 1
            and taken.ordered_on >= targets.ordered_on - {{ var('min_occasions_window_days') }}
    group by targets.instance, targets.outlet_id, targets.ordered_on, taken.sku_id
),

depths as (
    select
        targets.instance,
        targets.outlet_id,
        targets.ordered_on,
        count(before.turn_no) as occasions_before
    from targets
    left join turns as before
        on
            targets.instance = before.instance
            and targets.outlet_id = before.outlet_id
            and before.turn_no between targets.turn_no - {{ var('habit_occasions') }} and targets.turn_no - 1
            and before.ordered_on >= targets.ordered_on - {{ var('min_occasions_window_days') }}
    group by targets.instance, targets.outlet_id, targets.ordered_on
),

agreed as (
    select
        targets.instance,
        targets.outlet_id,
        targets.ordered_on,
        positions.sku_id,
        max(positions.min_quantity) as min_quantity
    from targets
    inner join {{ ref('int_agreed_position') }} as positions
        on
            targets.instance = positions.instance
            and targets.outlet_id = positions.outlet_id
            and targets.ordered_on between positions.valid_from and positions.valid_to
    group by targets.instance, targets.outlet_id, targets.ordered_on, positions.sku_id
),

-- Every position that was taken, or that somebody could miss.
positions as (
    select
        instance,
        outlet_id,
        ordered_on,
        sku_id
    from habits
    where times_taken > 0
    union
    select
        instance,
        outlet_id,
        ordered_on,
        sku_id
    from agreed
    union
    select
        taken.instance,
        taken.outlet_id,
        taken.ordered_on,
        taken.sku_id
    from taken
    inner join targets
        on
            taken.instance = targets.instance
            and taken.outlet_id = targets.outlet_id
            and taken.ordered_on = targets.ordered_on
),

expected as (
    select
        positions.instance,
        positions.outlet_id,
        positions.ordered_on,
        positions.sku_id,
        targets.turn_no,
        targets.gap_days,
        targets.gaps_before,
        depths.occasions_before,
        agreed.sku_id is not null as is_agreed,
        agreed.min_quantity as agreed_quantity,
        habits.times_taken,
        habits.usual_quantity,
        habits.last_turn_no,
        coalesce(
            depths.occasions_before >= {{ var('habit_min_occasions') }}
            and habits.times_taken >= {{ var('habit_share') }} * depths.occasions_before,
            false
        ) as is_habitual
    from positions
    inner join targets
        on
            positions.instance = targets.instance
            and positions.outlet_id = targets.outlet_id
            and positions.ordered_on = targets.ordered_on
    inner join depths
        on
            positions.instance = depths.instance
            and positions.outlet_id = depths.outlet_id
            and positions.ordered_on = depths.ordered_on
    left join agreed
        on
            positions.instance = agreed.instance
            and positions.outlet_id = agreed.outlet_id
            and positions.ordered_on = agreed.ordered_on
            and positions.sku_id = agreed.sku_id
    left join habits
        on
            positions.instance = habits.instance
            and positions.outlet_id = habits.outlet_id
            and positions.ordered_on = habits.ordered_on
            and positions.sku_id = habits.sku_id
),

present as (
    select
        expected.*,
        true as is_taken,
        purchases.ordered_quantity,
        purchases.price,
        purchases.is_promotion,
        purchases.is_cancelled_by_us,
        purchases.previous_on,
        purchases.previous_quantity,
        purchases.previous_price,
        purchases.previous_is_promotion,
        cast(null as boolean) as previous_is_cancelled_by_us,
        cast(null as date []) as last_days
    from expected
    inner join purchases
        on
            expected.instance = purchases.instance
            and expected.outlet_id = purchases.outlet_id
            and expected.ordered_on = purchases.ordered_on
            and expected.sku_id = purchases.sku_id
),

absent as (
    select
        expected.*,
        false as is_taken,
        cast(null as numeric) as ordered_quantity,
        cast(null as numeric) as price,
        false as is_promotion,
        false as is_cancelled_by_us,
        purchases.ordered_on as previous_on,
        purchases.ordered_quantity as previous_quantity,
        purchases.price as previous_price,
        purchases.is_promotion as previous_is_promotion,
        purchases.is_cancelled_by_us as previous_is_cancelled_by_us,
        purchases.last_days
    from expected
    left join present
        on
            expected.instance = present.instance
            and expected.outlet_id = present.outlet_id
            and expected.ordered_on = present.ordered_on
            and expected.sku_id = present.sku_id
    left join purchases
        on
            expected.instance = purchases.instance
            and expected.outlet_id = purchases.outlet_id
            and expected.sku_id = purchases.sku_id
            and purchases.ordered_on < expected.ordered_on
            and purchases.ordered_on >= expected.ordered_on - {{ var('order_gap_lookback_days') }}
            and coalesce(purchases.next_on, date 'infinity') > expected.ordered_on
    where present.sku_id is null and (expected.is_agreed or expected.is_habitual)
),

judged as (
    select * from present
    union all
    select * from absent
)

select
    instance,
    outlet_id,
    ordered_on,
    sku_id,
    turn_no,
    gap_days,
    -- Half of the gaps before are not longer than this.
    (
        select (percentile_disc(0.5) within group (order by gap) + percentile_disc(0.5) within group (order by gap desc)) / 2.0
        from unnest(gaps_before) as gap
    ) as median_gap_days,
    occasions_before,
    is_taken,
    is_agreed,
    is_habitual,
    is_promotion,
    is_cancelled_by_us,
    ordered_quantity,
    price,
    agreed_quantity,
    coalesce(times_taken, 0) as times_taken,
    usual_quantity,
    case
        when not is_taken then coalesce(turn_no - last_turn_no, least(turn_no, {{ var('habit_occasions') }} + 1))
    end as absent_in_a_row,
    case when previous_on >= ordered_on - {{ var('order_gap_lookback_days') }} then previous_on end as previous_on,
    case when previous_on >= ordered_on - {{ var('order_gap_lookback_days') }} then previous_quantity end as previous_quantity,
    case when previous_on >= ordered_on - {{ var('order_gap_lookback_days') }} then previous_price end as previous_price,
    coalesce(previous_is_promotion and previous_on >= ordered_on - {{ var('order_gap_lookback_days') }}, false)
        as previous_is_promotion,
    coalesce(previous_is_cancelled_by_us, false) as previous_is_cancelled_by_us,
    -- The position's own late gap: nine of ten were not longer.
    (
        select percentile_disc({{ var('position_late_percentile') }}) within group (order by gaps.gap_days)
        from (
            select days.day - lag(days.day) over (order by days.day) as gap_days
            from unnest(last_days) as days (day)
            where days.day >= judged.ordered_on - {{ var('order_gap_lookback_days') }}
        ) as gaps
        where gaps.gap_days is not null
    ) as position_late_gap_days
from judged
