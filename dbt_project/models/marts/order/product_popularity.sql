{{ config(indexes=[{'columns': ['instance', 'month_start', 'revenue_rank']}, {'columns': ['product_id', 'month_start']}]) }}

-- Products of each month by revenue, quantity and outlets.
with bases as (
    select
        instance,
        period_start as month_start,
        count(*) filter (where in_base) as u_base
    from {{ ref('int_distribution_universe') }}
    where period_kind = 'month'
    group by instance, period_start
),

products as (
    select
        instance,
        month_start,
        goods_id as sku_id,
        outlets_total,
        units,
        revenue as amount
    from {{ ref('int_goods_month') }}
    where goods_kind = 'sku' and placements_total > 0
),

ranked as (
    select
        products.*,
        row_number() over by_amount as revenue_rank,
        sum(products.amount) over (by_amount rows between unbounded preceding and current row) as running_amount,
        sum(products.amount) over (partition by products.instance, products.month_start) as month_amount
    from products
    window by_amount as (
        partition by products.instance, products.month_start order by products.amount desc, products.sku_id asc
    )
)

select
    ranked.instance,
    ranked.month_start,
    ranked.sku_id as product_id,
    cast(ranked.revenue_rank as integer) as revenue_rank,
    cast(ranked.units as numeric(24, 6)) as units_total,
    cast(round(ranked.amount, 2) as numeric(18, 2)) as revenue_amount,
    cast(round(100 * ranked.amount / nullif(ranked.month_amount, 0), 4) as numeric(8, 4)) as revenue_share_percent,
    case
        when ranked.running_amount - ranked.amount < 0.80 * ranked.month_amount then 'A'
        when ranked.running_amount - ranked.amount < 0.95 * ranked.month_amount then 'B'
        else 'C'
    end as abc_class,
    ranked.outlets_total,
    cast(round(100.0 * ranked.outlets_total / nullif(bases.u_base, 0), 2) as numeric(6, 2)) as nd_base_percent,
    cast(round(ranked.units / nullif(ranked.outlets_total, 0), 6) as numeric(24, 6)) as units_per_outlet,
    coalesce(ranked.month_start + interval '1 month' <= {{ as_of() }}, false) as is_complete
from ranked
left join bases on ranked.instance = bases.instance and ranked.month_start = bases.month_start
