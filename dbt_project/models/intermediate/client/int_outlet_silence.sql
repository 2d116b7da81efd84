{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook='{{ delete_of_changed_words(delete_changed_silences()) }}',
        post_hook='{{ analyze_this() }}'
    )
}}

-- depends_on: {{ ref('int_outlet_silence_changed') }}
-- What the silence after a sign of life came to before the next one, or the business date: a risk when it is longer than the
-- outlet's rhythm and its own late gaps, a lapse after several cycles, a loss after half a year or when it was closed.
with outlets as (
    select * from {{ ref('int_outlet') }}
),

{% if is_incremental() -%}
changed as (
    select * from {{ ref('int_outlet_silence_changed') }}
),

-- Each outlet's own, by the index: few of many.
purchases as (
    select
        own.*,
        changed.written_from
    from changed
    cross join lateral (
        select purchases.*
        from {{ ref('int_outlet_purchase') }} as purchases
        where
            purchases.instance = changed.instance
            and purchases.outlet_id = changed.outlet_id
            and purchases.purchased_on >= changed.read_from
            and purchases.purchased_on <= {{ as_of() }}
        order by purchases.purchased_on
        offset 0
    ) as own
),

orders as (
    select
        own.*,
        changed.written_from
    from changed
    cross join lateral (
        select
            orders.instance,
            orders.outlet_id,
            orders.ordered_on
        from {{ ref('fct_order_occasion') }} as orders
        where
            orders.instance = changed.instance
            and orders.outlet_id = changed.outlet_id
            and orders.ordered_on >= changed.written_from
            and orders.ordered_on <= {{ as_of() }}
        order by orders.ordered_on
        offset 0
    ) as own
),

{% else -%}
purchases as (
    select
        *,
        cast('-infinity' as date) as written_from
    from {{ ref('int_outlet_purchase') }}
    where purchased_on <= {{ as_of() }}
),

orders as (
    select
        instance,
        outlet_id,
        ordered_on,
        cast('-infinity' as date) as written_from
    from {{ ref('fct_order_occasion') }}
    where ordered_on <= {{ as_of() }}
),

{% endif -%}

cadence as (
    select * from {{ ref('int_agreement_cadence') }}
),

closures as (
    select * from {{ ref('int_outlet_closure') }}
),

-- An order is a sign of life too, even before it is shipped, or when we cancelled it.
signs as (
    select
        instance,
        outlet_id,
        written_from,
        purchased_on as sign_on,
        purchased_on
    from purchases
    union all
    select
        instance,
        outlet_id,
        written_from,
        ordered_on as sign_on,
        cast(null as date) as purchased_on
    from orders
),

days as (
    select
        instance,
        outlet_id,
        written_from,
        sign_on,
        max(purchased_on) as purchased_on
    from signs
    group by instance, outlet_id, written_from, sign_on
),

followed as (
    select
        instance,
        outlet_id,
        written_from,
        sign_on,
        max(purchased_on) over in_time as last_purchased_on,
        lead(sign_on) over in_time as next_on
    from days
    window in_time as (partition by instance, outlet_id order by sign_on)
),

gaps as (
    select
        followed.instance,
        followed.outlet_id,
        followed.sign_on,
        followed.next_on,
        purchases.late_gap_days,
        greatest(
            coalesce(cadence.cadence_days, purchases.cycle_days, {{ var('placement_default_cycle_days') }}), 1
        ) as usual_days,
        case when outlets.closed_on between followed.sign_on + 1 and {{ as_of() }} then outlets.closed_on end as closed_on
    from followed
    inner join purchases
        on
            followed.instance = purchases.instance
            and followed.outlet_id = purchases.outlet_id
            and followed.last_purchased_on = purchases.purchased_on
    inner join outlets on followed.instance = outlets.instance and followed.outlet_id = outlets.outlet_id
    left join cadence on followed.instance = cadence.instance and followed.outlet_id = cadence.outlet_id
    where followed.sign_on >= followed.written_from
),

-- When silence would have become a risk, a lapse, a loss.
silences as (
    select
        instance,
        outlet_id,
        sign_on,
        least(next_on, {{ as_of() }} + 1) as until_on,
        case when closed_on < coalesce(next_on, 'infinity') then closed_on end as closed_on,
        sign_on + 1
        + cast(ceil(greatest(usual_days + {{ var('learned_grace_days') }}, late_gap_days)) as integer) as risk_on,
        sign_on
        + greatest(cast(ceil({{ var('lapsed_min_cycles') }} * usual_days) as integer), {{ var('lapsed_min_days') }})
            as lapse_on,
        sign_on + greatest(
            cast(ceil({{ var('lapsed_min_cycles') }} * usual_days) as integer),
            {{ var('lapsed_min_days') }}, {{ var('lost_days') }}
        ) as loss_on
    from gaps
),

long_silences as (
    select * from silences
    where risk_on < until_on or lapse_on < until_on or closed_on < until_on
),

closed_days as (
    select
        silences.instance,
        silences.outlet_id,
        silences.sign_on,
        silences.risk_on,
        silences.lapse_on,
        silences.loss_on,
        greatest(closures.closed_from, silences.sign_on + 1) as closed_from,
        closures.closed_to - greatest(closures.closed_from, silences.sign_on + 1) + 1 as days
    from long_silences as silences
    inner join closures
        on
            silences.instance = closures.instance
            and silences.outlet_id = closures.outlet_id
            and silences.sign_on < closures.closed_to
            and silences.until_on > closures.closed_from
),

-- Pauses and months out of season stop the clock.
stopped as (
    select
        instance,
        outlet_id,
        sign_on,
        sum(days) filter (where closed_from < risk_on) as before_risk,
        sum(days) filter (where closed_from < lapse_on) as before_lapse,
        sum(days) filter (where closed_from < loss_on) as before_loss
    from closed_days
    group by instance, outlet_id, sign_on
),

clocked as (
    select
        silences.instance,
        silences.outlet_id,
        silences.sign_on,
        silences.until_on,
        silences.closed_on,
        silences.risk_on + cast(coalesce(stopped.before_risk, 0) as integer) as risk_on,
        silences.lapse_on + cast(coalesce(stopped.before_lapse, 0) as integer) as lapse_on,
        silences.loss_on + cast(coalesce(stopped.before_loss, 0) as integer) as loss_on
    from long_silences as silences
    left join stopped
        on
            silences.instance = stopped.instance
            and silences.outlet_id = stopped.outlet_id
            and silences.sign_on = stopped.sign_on
),

steps as (
    select
        instance,
        outlet_id,
        sign_on,
        until_on,
        'at_risk' as stage,
        risk_on as entered_on,
        'silence' as reason,
        least(lapse_on, loss_on, closed_on) as overtaken_on
    from clocked
    union all
    select
        instance,
        outlet_id,
        sign_on,
        until_on,
        'lapsed' as stage,
        lapse_on as entered_on,
        'silence' as reason,
        least(loss_on, closed_on) as overtaken_on
    from clocked
    union all
    select
        instance,
        outlet_id,
        sign_on,
        until_on,
        'lost' as stage,
        least(loss_on, closed_on) as entered_on,
        case when closed_on <= loss_on then 'closed' else 'silence' end as reason,
        cast('infinity' as date) as overtaken_on
    from clocked
)

select
    instance,
    outlet_id,
    sign_on,
    stage,
    entered_on,
    reason
from steps
where entered_on < until_on and entered_on < overtaken_on
