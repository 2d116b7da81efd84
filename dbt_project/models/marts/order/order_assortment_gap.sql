{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook='{{ delete_changed_order_days() }}',
        post_hook='{{ analyze_this() }}',
        indexes=[
            {'columns': ['instance', 'outlet_id', 'ordered_on', 'product_id'], 'unique': true},
            {'columns': ['ordered_on', 'is_alert']},
            {'columns': ['product_id', 'ordered_on']},
        ]
    )
}}

-- Positions that an order lacks although they were agreed on or are habitual. `is_alert` is the robust rule: lacking in
-- several orders running, for longer than the client's own pauses with it, and not by our fault.
with positions as (
    select basket.*
    from {{ ref('int_basket_line') }} as basket
    {% if is_incremental() %}
    inner join {{ ref('int_order_day_changed') }} as changed
        on
            basket.instance = changed.instance
            and basket.outlet_id = changed.outlet_id
            and basket.ordered_on >= changed.changed_from
    {% endif %}
    where not basket.is_taken
),

occasions as (
    select * from {{ ref('fct_order_occasion') }}
),

-- Something of the same group was taken in the same order instead.
substituted as (
    select distinct
        missing.instance,
        missing.outlet_id,
        missing.ordered_on,
        missing.sku_id
    from positions as missing
    inner join {{ ref('int_substitution') }} as its_group
        on missing.instance = its_group.instance and missing.sku_id = its_group.sku_id
    inner join {{ ref('int_substitution') }} as same_group
        on
            its_group.instance = same_group.instance
            and its_group.substitution_group = same_group.substitution_group
            and its_group.sku_id <> same_group.sku_id
    inner join {{ ref('int_order_basket') }} as instead
        on
            missing.instance = instead.instance
            and missing.outlet_id = instead.outlet_id
            and missing.ordered_on = instead.ordered_on
            and same_group.sku_id = instead.sku_id
            and instead.is_taken
),

-- What our own warehouse held on the days its stock was read.
stock_days as (
    select distinct
        instance,
        stock_on
    from {{ ref('fct_stock_daily') }}
),

in_stock as (
    select distinct
        stock.instance,
        stock.stock_on,
        skus.sku_id
    from {{ ref('fct_stock_daily') }} as stock
    inner join {{ ref('int_sku') }} as skus
        on stock.instance = skus.instance and stock.product_id = skus.product_id
    where stock.on_hand_quantity > 0
),

described as (
    select
        missing.instance,
        missing.ordered_on,
        missing.outlet_id,
        occasions.client_id,
        occasions.branch_id,
        occasions.manager_id,
        missing.sku_id,
        case when missing.is_agreed then 'agreed' else 'habitual' end as basis,
        missing.occasions_before,
        missing.times_taken,
        missing.absent_in_a_row,
        missing.previous_on,
        missing.ordered_on - missing.previous_on as days_since_last,
        missing.position_late_gap_days,
        missing.median_gap_days,
        coalesce(missing.base_quantity, missing.usual_quantity, missing.previous_quantity) as usual_quantity,
        missing.constant_price,
        -- A purchase twice the usual one lasts twice as long.
        cast(
            floor(
                least(
                    greatest(coalesce(missing.previous_quantity / nullif(missing.usual_quantity, 0), 1), 1),
                    {{ var('stock_up_max_cycles') }}
                )
            )
            as integer
        ) as stocked_cycles,
        missing.previous_is_cancelled_by_us or (stock_days.stock_on is not null and in_stock.sku_id is null) as is_our_fault,
        substituted.sku_id is not null as is_substituted,
        skus.is_withdrawn
    from positions as missing
    inner join occasions
        on
            missing.instance = occasions.instance
            and missing.outlet_id = occasions.outlet_id
            and missing.ordered_on = occasions.ordered_on
    inner join {{ ref('int_sku') }} as skus
        on missing.instance = skus.instance and missing.sku_id = skus.product_id
    left join stock_days on missing.instance = stock_days.instance and missing.ordered_on = stock_days.stock_on
    left join in_stock
        on
            missing.instance = in_stock.instance
            and missing.ordered_on = in_stock.stock_on
            and missing.sku_id = in_stock.sku_id
    left join substituted
        on
            missing.instance = substituted.instance
            and missing.outlet_id = substituted.outlet_id
            and missing.ordered_on = substituted.ordered_on
            and missing.sku_id = substituted.sku_id
)

select
    instance,
    ordered_on,
    outlet_id,
    client_id,
    branch_id,
    manager_id,
    sku_id as product_id,
    basis,
    cast(occasions_before as integer) as occasions_before,
    cast(times_taken as integer) as times_taken,
    cast(absent_in_a_row as integer) as absent_in_a_row,
    previous_on as last_ordered_on,
    cast(days_since_last as integer) as days_since_last,
    cast(position_late_gap_days as integer) as late_gap_days,
    cast(usual_quantity as numeric(24, 6)) as usual_quantity,
    cast(round(coalesce(usual_quantity * constant_price, 0), 2) as numeric(18, 2)) as missing_amount,
    stocked_cycles,
    is_our_fault,
    is_substituted,
    is_withdrawn,
    absent_in_a_row >= {{ var('missing_occasions_in_a_row') }}
    and not is_our_fault
    and not is_substituted
    and not is_withdrawn
    -- Not before its own long gap has passed; what was bought double lasts longer than that.
    and coalesce(days_since_last >= position_late_gap_days, true)
    and (
        stocked_cycles = 1
        or coalesce(days_since_last > stocked_cycles * coalesce(position_late_gap_days, median_gap_days), true)
    ) as is_alert
from described
