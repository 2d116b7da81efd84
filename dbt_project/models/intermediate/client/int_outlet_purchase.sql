{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook="{{ delete_changed_outlets('purchased_on') }}",
        post_hook='{{ analyze_this() }}',
        indexes=[{'columns': ['instance', 'outlet_id', 'purchased_on'], 'unique': true}]
    )
}}

-- depends_on: {{ ref('int_outlet_month_changed') }}
-- Days on which an outlet really bought, with the rhythm it had by then. A shipment that came back whole is no purchase.
-- Written anew from the first changed month on: a day knows as many before it as its rhythm asks for.
with {% if is_incremental() -%}
changed as (
    select
        instance,
        outlet_id,
        min(month_start) as changed_from
    from {{ ref('int_outlet_month_changed') }}
    group by instance, outlet_id
),

known as (
    select
        changed.instance,
        changed.outlet_id,
        before.purchased_on,
        before.purchase_no,
        before.first_purchased_on
    from changed
    cross join lateral (
        select
            own.purchased_on,
            own.purchase_no,
            own.first_purchased_on
        from {{ this }} as own
        where
            own.instance = changed.instance
            and own.outlet_id = changed.outlet_id
            and own.purchased_on < changed.changed_from
        order by own.purchased_on desc
        limit {{ var('rhythm_occasions') }} + 1
    ) as before
),

{% endif -%}
days as (
    select
        sales.instance,
        sales.outlet_id,
        sales.sold_on as purchased_on,
        cast(null as bigint) as known_no,
        cast(null as date) as known_first_on
    from {{ ref('sales_daily') }} as sales
    {% if is_incremental() %}
    inner join changed
        on
            sales.instance = changed.instance
            and sales.outlet_id = changed.outlet_id
            and sales.sold_on >= changed.changed_from
    {% endif %}
    where sales.product_kind = 'goods' and sales.outlet_id <> 'unknown' and sales.kept_units > 0
    group by sales.instance, sales.outlet_id, sales.sold_on
    {% if is_incremental() %}
    union all
    select
        instance,
        outlet_id,
        purchased_on,
        purchase_no as known_no,
        first_purchased_on as known_first_on
    from known
    {% endif %}
),

gaps as (
    select
        instance,
        outlet_id,
        purchased_on,
        known_no is not null as is_known,
        row_number() over in_time + coalesce(min(known_no) over (partition by instance, outlet_id) - 1, 0) as purchase_no,
        coalesce(
            min(known_first_on) over (partition by instance, outlet_id), min(purchased_on) over (partition by instance, outlet_id)
        ) as first_purchased_on,
        purchased_on - lag(purchased_on) over in_time as gap_days
    from days
    window in_time as (partition by instance, outlet_id order by purchased_on)
),

remembered as (
    select
        *,
        array_remove(
            array_agg(gap_days) over (
                partition by instance, outlet_id
                order by purchased_on
                rows between {{ var('rhythm_occasions') }} preceding and current row
            ),
            null
        ) as last_gaps
    from gaps
),

recent as (
    select
        instance,
        outlet_id,
        purchased_on,
        purchase_no,
        first_purchased_on,
        last_gaps[greatest(cardinality(last_gaps) - {{ var('rhythm_occasions') }} + 1, 1):] as last_gaps
    from remembered
    where not is_known
),

sorted as (
    select
        recent.instance,
        recent.outlet_id,
        recent.purchased_on,
        recent.purchase_no,
        recent.first_purchased_on,
        cardinality(recent.last_gaps) as gaps_total,
        {{ var('learned_late_percentile') }} * (cardinality(recent.last_gaps) - 1) as position,
        array(
            select one.gap
            from unnest(recent.last_gaps) as one (gap)
            order by one.gap
        ) as gaps
    from recent
)

select
    instance,
    outlet_id,
    purchased_on,
    purchase_no,
    first_purchased_on,
    case
        when gaps_total >= {{ var('min_occasions') }} - 1
            then trim_scale((gaps[(gaps_total + 1) / 2] + gaps[(gaps_total + 2) / 2]) / 2.0)
    end as cycle_days,
    -- Where the percentile falls between two sorted gaps.
    case
        when gaps_total >= {{ var('min_occasions') }} - 1
            then trim_scale(
                gaps[cast(floor(position) as integer) + 1]
                + (position - floor(position))
                * (gaps[cast(ceil(position) as integer) + 1] - gaps[cast(floor(position) as integer) + 1])
            )
    end as late_gap_days
from sorted
