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
-- An occasion is judged by what came before it only, so a later day never changes it. Every purchase speaks to the
-- occasions after it that are judged now, and all voices are grouped: joins of what was grouped would be planned as loops.
with turns as (
    select
        turn.*,
        {% if is_incremental() %}changed.changed_from{% else %}{{ as_of() }} - {{ var('order_gap_history_days') }}{% endif %}
            as judged_from
    from {{ ref('int_order_turn') }} as turn
    {% if is_incremental() %}
    inner join {{ ref('int_order_day_changed') }} as changed
        on turn.instance = changed.instance and turn.outlet_id = changed.outlet_id
    {% endif %}
    where
        turn.ordered_on > {{ as_of() }} - {{ var('order_gap_history_days') }} - {{ var('order_gap_lookback_days') }}
        {%- if is_incremental() %}
        -- No occasion is judged by what lies further back.
        and turn.ordered_on >= changed.changed_from - {{ [var('order_gap_lookback_days'), var('min_occasions_window_days')] | max }}
        {%- endif %}
),

-- What was asked for: lines that we cancelled are demand, lines that the client cancelled are not.
lines as (
    select
        turns.instance,
        turns.outlet_id,
        turns.ordered_on,
        turns.client_id,
        turns.days_after,
        turns.judged_from,
        skus.sku_id,
        line.quantity * skus.units_per_unit as quantity,
        line.amount_with_vat,
        line.line_status
    from turns
    inner join {{ ref('fct_order_line') }} as line
        on
            turns.instance = line.instance
            and turns.outlet_id = line.outlet_id
            and turns.ordered_on = line.ordered_on
    inner join {{ ref('int_sku') }} as skus on line.instance = skus.instance and line.product_id = skus.product_id
    where line.line_class = 'sale' and line.line_status not in ('draft', 'cancelled_by_client')
),

taken as (
    select
        instance,
        outlet_id,
        ordered_on,
        sku_id,
        days_after,
        judged_from,
        sum(quantity) as ordered_quantity,
        sum(amount_with_vat) / nullif(sum(quantity), 0) as price,
        bool_and(line_status = 'cancelled_by_us') as is_cancelled_by_us,
        exists (  -- noqa: LT01,LT06
            select 1
            from {{ ref('int_promotion') }} as promotion
            where
                promotion.instance = lines.instance
                and promotion.sku_id = lines.sku_id
                and coalesce(promotion.client_id, lines.client_id) = lines.client_id
                and lines.ordered_on between promotion.valid_from and promotion.valid_to
        ) as is_promotion
    from lines
    group by instance, outlet_id, ordered_on, client_id, sku_id, days_after, judged_from
    having sum(quantity) > 0
),

-- Each purchase with those before and after it, and the days of the last ones.
purchases as (
    select
        *,
        lead(ordered_on) over own_days as next_on,
        lag(ordered_on) over own_days as previous_on,
        lag(ordered_quantity) over own_days as previous_quantity,
        lag(price) over own_days as previous_price,
        lag(is_promotion) over own_days as previous_is_promotion,
        array_agg(ordered_on) over (own_days rows between {{ var('rhythm_occasions') }} preceding and current row) as last_days
    from taken
    window own_days as (partition by instance, outlet_id, sku_id order by ordered_on)
),

voices as (
    select
        instance,
        outlet_id,
        ordered_on,
        sku_id,
        true as is_taken,
        ordered_quantity,
        price,
        is_promotion,
        is_cancelled_by_us,
        previous_on,
        previous_quantity,
        previous_price,
        previous_is_promotion,
        last_days,
        cast(null as bigint) as occasions_ago,
        cast(null as numeric) as quantity_then,
        cast(null as boolean) as was_promotion,
        false as is_agreed,
        cast(null as numeric) as agreed_quantity
    from purchases
    -- Of what is not judged only the last purchase is looked back at.
    where ordered_on >= judged_from or coalesce(next_on, 'infinity') >= judged_from
    union all
    select
        purchases.instance,
        purchases.outlet_id,
        after.ordered_on,
        purchases.sku_id,
        false as is_taken,
        null as ordered_quantity,
        null as price,
        null as is_promotion,
        null as is_cancelled_by_us,
        null as previous_on,
        null as previous_quantity,
        null as previous_price,
        null as previous_is_promotion,
        null as last_days,
        after.occasions_ago,
        purchases.ordered_quantity as quantity_then,
        purchases.is_promotion as was_promotion,
        false as is_agreed,
        null as agreed_quantity
    from purchases
    cross join lateral unnest(purchases.days_after) with ordinality as after (ordered_on, occasions_ago)
    where
        purchases.days_after[cardinality(purchases.days_after)] >= purchases.judged_from
        and after.ordered_on <= purchases.ordered_on + {{ var('min_occasions_window_days') }}
        and after.ordered_on >= purchases.judged_from
    union all
    select
        turns.instance,
        turns.outlet_id,
        turns.ordered_on,
        positions.sku_id,
        false as is_taken,
        null as ordered_quantity,
        null as price,
        null as is_promotion,
        null as is_cancelled_by_us,
        null as previous_on,
        null as previous_quantity,
        null as previous_price,
        null as previous_is_promotion,
        null as last_days,
        null as occasions_ago,
        null as quantity_then,
        null as was_promotion,
        true as is_agreed,
        positions.min_quantity as agreed_quantity
    from turns
    inner join {{ ref('int_agreed_position') }} as positions
        on
            turns.instance = positions.instance
            and turns.outlet_id = positions.outlet_id
            and turns.ordered_on between positions.valid_from and positions.valid_to
    where turns.ordered_on >= turns.judged_from
),

grouped as (
    select
        instance,
        outlet_id,
        ordered_on,
        sku_id,
        bool_or(is_taken) as is_taken,
        max(ordered_quantity) as ordered_quantity,
        max(price) as price,
        coalesce(bool_or(is_promotion), false) as is_promotion,
        coalesce(bool_or(is_cancelled_by_us), false) as is_cancelled_by_us,
        max(previous_on) as previous_on,
        max(previous_quantity) as previous_quantity,
        max(previous_price) as previous_price,
        coalesce(bool_or(previous_is_promotion), false) as previous_is_promotion,
        max(last_days) as last_days,
        min(occasions_ago) as last_occasions_ago,
        count(*) filter (where not was_promotion) as times_taken,
        array_agg(quantity_then order by quantity_then) filter (where not was_promotion) as quantities,
        bool_or(is_agreed) as is_agreed,
        max(agreed_quantity) as agreed_quantity
    from voices
    group by instance, outlet_id, ordered_on, sku_id
),

-- What is absent looks back at the last purchase.
counted as (
    select
        *,
        count(*) filter (where is_taken) over (partition by instance, outlet_id, sku_id order by ordered_on) as purchase_no
    from grouped
),

carried as (
    select
        *,
        first_value(ordered_on) over own_purchase as last_on,
        first_value(ordered_quantity) over own_purchase as last_quantity,
        first_value(price) over own_purchase as last_price,
        first_value(is_promotion) over own_purchase as last_is_promotion,
        first_value(is_cancelled_by_us) over own_purchase as last_is_cancelled_by_us,
        first_value(last_days) over own_purchase as days_of_purchases
    from counted
    window own_purchase as (partition by instance, outlet_id, sku_id, purchase_no order by ordered_on)
),

looked_back as (
    select
        *,
        case when is_taken then previous_on when purchase_no > 0 then last_on end as before_on
    from carried
),

judged as (
    select
        looked_back.*,
        turns.turn_no,
        turns.gap_days,
        turns.median_gap_days,
        turns.occasions_before,
        coalesce(looked_back.before_on >= looked_back.ordered_on - {{ var('order_gap_lookback_days') }}, false) as has_before,
        turns.occasions_before >= {{ var('habit_min_occasions') }}
        and looked_back.times_taken >= {{ var('habit_share') }} * turns.occasions_before as is_habitual
    from looked_back
    inner join {{ ref('int_order_turn') }} as turns
        on
            looked_back.instance = turns.instance
            and looked_back.outlet_id = turns.outlet_id
            and looked_back.ordered_on = turns.ordered_on
    {% if is_incremental() %}
    inner join {{ ref('int_order_day_changed') }} as changed
        on
            turns.instance = changed.instance
            and turns.outlet_id = changed.outlet_id
            and turns.ordered_on >= changed.changed_from
    {% endif %}
    where turns.ordered_on > {{ as_of() }} - {{ var('order_gap_history_days') }}
)

select
    instance,
    outlet_id,
    ordered_on,
    sku_id,
    turn_no,
    gap_days,
    median_gap_days,
    occasions_before,
    is_taken,
    is_agreed,
    is_habitual,
    is_promotion,
    is_cancelled_by_us,
    ordered_quantity,
    price,
    agreed_quantity,
    times_taken,
    (quantities[(cardinality(quantities) + 1) / 2] + quantities[(cardinality(quantities) + 2) / 2]) / 2.0 as usual_quantity,
    case
        when not is_taken then coalesce(last_occasions_ago, least(turn_no, {{ var('habit_occasions') }} + 1))
    end as absent_in_a_row,
    case when has_before then before_on end as previous_on,
    case when has_before then case when is_taken then previous_quantity else last_quantity end end as previous_quantity,
    case when has_before then case when is_taken then previous_price else last_price end end as previous_price,
    has_before and case when is_taken then previous_is_promotion else last_is_promotion end as previous_is_promotion,
    has_before and not is_taken and last_is_cancelled_by_us as previous_is_cancelled_by_us,
    -- The position's own late gap: nine of ten were not longer.
    case
        when not is_taken and has_before
            then (
                select percentile_disc({{ var('position_late_percentile') }}) within group (order by gaps.gap_days)
                from (
                    select days.day - lag(days.day) over (order by days.day) as gap_days
                    from unnest(judged.days_of_purchases) as days (day)
                    where days.day >= judged.ordered_on - {{ var('order_gap_lookback_days') }}
                ) as gaps
                where gaps.gap_days is not null
            )
    end as position_late_gap_days
from judged
where is_taken or is_agreed or is_habitual
