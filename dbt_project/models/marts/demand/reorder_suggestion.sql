{% set protected_days = var('reorder_lead_days') + var('reorder_review_days') %}

{{ config(indexes=[{'columns': ['instance', 'product_id', 'warehouse_id'], 'unique': true}]) }}

-- What to buy in: demand until the next delivery but one can be there, plus a reserve for the forecast's own errors, less
-- what is free. Positions withdrawn from sale are left out.
with forecast as (
    select
        instance,
        warehouse_id,
        product_id,
        segment,
        method,
        bias_percent,
        -- Days of the week that fall into the days to be covered.
        greatest(
            least(week_start + 7, {{ as_of() }} + {{ protected_days }}) - greatest(week_start, {{ as_of() }}), 0
        ) as covered_days,
        forecast_quantity
    from {{ ref('demand_forecast') }}
),

-- A method that is known to be low by a tenth is raised by as much; never more than doubled or halved.
expected as (
    select
        instance,
        warehouse_id,
        product_id,
        segment,
        method,
        sum(forecast_quantity * covered_days / 7.0) * {{ protected_days }} / nullif(sum(covered_days), 0)
        * least(greatest(1 / nullif(greatest(1 + coalesce(max(bias_percent), 0) / 100, 0), 0), 0.5), 2) as quantity
    from forecast
    group by instance, warehouse_id, product_id, segment, method
),

errors as (
    select
        instance,
        warehouse_id,
        product_id,
        method,
        sqrt(avg(power(predicted_quantity - ordered_quantity, 2))) as deviation
    from {{ ref('int_demand_prediction') }}
    where trial <> 'coming'
    group by instance, warehouse_id, product_id, method
),

pictures as (
    select
        instance,
        max(stock_on) as stock_on
    from {{ ref('fct_stock_daily') }}
    where stock_on <= {{ as_of() }}
    group by instance
),

-- Orders that name no warehouse are served from all of them.
stock as (
    select
        stock.instance,
        coalesce(stock.warehouse_id, 'unknown') as warehouse_id,
        skus.sku_id as product_id,
        sum(stock.available_quantity * skus.units_per_unit) as quantity
    from {{ ref('fct_stock_daily') }} as stock
    inner join pictures on stock.instance = pictures.instance and stock.stock_on = pictures.stock_on
    inner join {{ ref('int_sku') }} as skus on stock.instance = skus.instance and stock.product_id = skus.product_id
    group by
        stock.instance,
        skus.sku_id,
        grouping sets ((stock.warehouse_id), ())
),

levels as (
    select
        expected.instance,
        expected.warehouse_id,
        expected.product_id,
        expected.segment,
        expected.method,
        pictures.stock_on,
        case when pictures.stock_on is not null then coalesce(stock.quantity, 0) end as available,
        expected.quantity as expected_quantity,
        {{ service_factor(var('reorder_service_level')) }} * errors.deviation * sqrt({{ protected_days }} / 7.0) as safety_quantity,
        case
            when expected.quantity is null then 'forecast_too_old'
            when errors.deviation is null then 'not_enough_history'
            when pictures.stock_on is null then 'no_stock_picture'
        end as missing_reason
    from expected
    inner join {{ ref('int_sku') }} as skus
        on expected.instance = skus.instance and expected.product_id = skus.product_id and not skus.is_withdrawn
    left join errors
        on
            expected.instance = errors.instance
            and expected.warehouse_id = errors.warehouse_id
            and expected.product_id = errors.product_id
            and expected.method = errors.method
    left join pictures on expected.instance = pictures.instance
    left join stock
        on
            expected.instance = stock.instance
            and expected.warehouse_id = stock.warehouse_id
            and expected.product_id = stock.product_id
)

select
    instance,
    warehouse_id,
    product_id,
    segment,
    method,
    stock_on,
    cast(available as numeric(24, 6)) as available_quantity,
    {{ protected_days }} as protected_days_total,
    cast(round(cast(expected_quantity as numeric), 3) as numeric(24, 6)) as expected_quantity,
    cast(round(cast(safety_quantity as numeric), 3) as numeric(24, 6)) as safety_quantity,
    cast(round(cast(expected_quantity + safety_quantity as numeric), 3) as numeric(24, 6)) as reorder_level_quantity,
    case
        when missing_reason is null
            then cast(ceil(greatest(cast(expected_quantity + safety_quantity as numeric) - available, 0)) as numeric(24, 6))
    end as suggested_quantity,
    missing_reason
from levels
