{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook="{{ delete_changed_months('int_pnl_month_changed') }}",
        post_hook='{{ analyze_this() }}',
        indexes=[{'columns': ['instance', 'client_id', 'month_start'], 'unique': true}, {'columns': ['month_start']}]
    )
}}

-- depends_on: {{ ref('int_pnl_month_changed') }}
-- What each client brought in and cost in a month, without VAT. An expense that names no client is shared by revenue among
-- the clients of its organisation. What no source says stays empty, with the reason: never a silent zero. Months that nothing
-- happened to stay as they are.
with sold as (
    select
        instance,
        client_id,
        month_start,
        organisation_id,
        sum(revenue) as revenue,
        sum(coalesce(register_cost, 0) + coalesce(estimated_cost, 0)) as cost,
        sum(coalesce(estimated_cost, 0)) as estimated_cost,
        sum(revenue_without_cost) as revenue_without_cost,
        bool_or(is_cost_missing) as is_cost_missing,
        bool_or(register_cost is not null) as has_register,
        bool_or(cost_source = 'price') as has_price,
        bool_or(cost_source = 'unit_of_register') as has_unit
    from {{ ref('int_sale_cost') }}
    {% if is_incremental() -%}
    where
        month_start >= (select min(changed.month_start) from {{ ref('int_pnl_month_changed') }} as changed)
        and (instance, month_start) in (
            select
                changed.instance,
                changed.month_start
            from {{ ref('int_pnl_month_changed') }} as changed
        )
    {%- endif %}
    group by instance, client_id, month_start, organisation_id
),

expenses as (
    select * from {{ ref('int_expense') }}
    where spent_on <= {{ as_of() }}
),

-- Which kinds of expense anybody keeps at all, and whether this month has them.
fed as (
    select
        instance,
        month_start,
        bool_or(expense_kind = 'delivery') as has_delivery,
        bool_or(expense_kind = 'marketing') as has_marketing,
        bool_or(expense_kind = 'retro_bonus') as has_retro_bonus
    from expenses
    group by instance, month_start
),

turnover as (
    select
        instance,
        organisation_id,
        month_start,
        sum(greatest(revenue, 0)) as revenue
    from sold
    group by instance, organisation_id, month_start
),

pools as (
    select
        instance,
        organisation_id,
        month_start,
        sum(amount_without_vat) filter (where expense_kind = 'delivery') as delivery,
        sum(amount_without_vat) filter (where expense_kind = 'marketing') as marketing,
        sum(amount_without_vat) filter (where expense_kind = 'retro_bonus') as retro_bonus
    from expenses
    where client_id is null
    group by instance, organisation_id, month_start
),

named as (
    select
        instance,
        client_id,
        month_start,
        sum(amount_without_vat) filter (where expense_kind = 'delivery') as delivery,
        sum(amount_without_vat) filter (where expense_kind = 'marketing') as marketing,
        sum(amount_without_vat) filter (where expense_kind = 'retro_bonus') as retro_bonus
    from expenses
    where client_id is not null
    group by instance, client_id, month_start
),

bonuses as (
    select
        instance,
        client_id,
        cast(date_trunc('month', moved_on) as date) as month_start,
        sum(points) filter (where points > 0) * {{ var('bonus_point_value') }} as bonus
    from {{ ref('int_bonus_movement') }}
    where moved_on <= {{ as_of() }}
    group by instance, client_id, cast(date_trunc('month', moved_on) as date)
),

bonus_sources as (
    select distinct instance from {{ ref('int_bonus_movement') }}
),

clients as (
    select
        sold.instance,
        sold.client_id,
        sold.month_start,
        sum(sold.revenue) as revenue,
        sum(sold.cost) as cost,
        sum(sold.estimated_cost) as estimated_cost,
        sum(sold.revenue_without_cost) as revenue_without_cost,
        bool_or(sold.is_cost_missing) as is_cost_missing,
        bool_or(sold.has_register) as has_register,
        bool_or(sold.has_price) as has_price,
        bool_or(sold.has_unit) as has_unit,
        sum(pools.delivery * greatest(sold.revenue, 0) / nullif(turnover.revenue, 0)) as shared_delivery,
        sum(pools.marketing * greatest(sold.revenue, 0) / nullif(turnover.revenue, 0)) as shared_marketing,
        sum(pools.retro_bonus * greatest(sold.revenue, 0) / nullif(turnover.revenue, 0)) as shared_retro_bonus
    from sold
    left join turnover
        on
            sold.instance = turnover.instance
            and sold.organisation_id is not distinct from turnover.organisation_id
            and sold.month_start = turnover.month_start
    left join pools
        on
            sold.instance = pools.instance
            and sold.organisation_id = pools.organisation_id
            and sold.month_start = pools.month_start
    group by sold.instance, sold.client_id, sold.month_start
),

joined as (
    select
        clients.*,
        case when not clients.is_cost_missing then clients.revenue - clients.cost end as gross_margin,
        case
            when fed.has_delivery then coalesce(clients.shared_delivery, 0) + coalesce(named.delivery, 0)
        end as delivery,
        case
            when fed.has_marketing then coalesce(clients.shared_marketing, 0) + coalesce(named.marketing, 0)
        end as marketing,
        case
            when fed.has_retro_bonus then coalesce(clients.shared_retro_bonus, 0) + coalesce(named.retro_bonus, 0)
        end as retro_bonus,
        case when bonus_sources.instance is not null then coalesce(bonuses.bonus, 0) end as bonus
    from clients
    left join fed on clients.instance = fed.instance and clients.month_start = fed.month_start
    left join named
        on
            clients.instance = named.instance
            and clients.client_id = named.client_id
            and clients.month_start = named.month_start
    left join bonuses
        on
            clients.instance = bonuses.instance
            and clients.client_id = bonuses.client_id
            and clients.month_start = bonuses.month_start
    left join bonus_sources on clients.instance = bonus_sources.instance
),

judged as (
    select
        *,
        coalesce(delivery, 0) + coalesce(marketing, 0) + coalesce(retro_bonus, 0) + coalesce(bonus, 0) as known_expenses,
        nullif(concat_ws(
            ', ',
            case when delivery is null then 'delivery' end,
            case when marketing is null then 'marketing' end,
            case when retro_bonus is null then 'retro_bonus' end,
            case when bonus is null then 'bonus' end
        ), '') as not_fed,
        delivery is not null or marketing is not null or retro_bonus is not null as has_expenses
    from joined
)

select
    instance,
    client_id,
    month_start,
    cast(month_start + interval '1 month' as date) <= {{ as_of() }} as is_complete,
    {{ as_of() }} < cast(month_start + interval '1 month' as date) + {{ var('month_close_days') }} as is_provisional,
    cast(revenue as numeric(24, 6)) as net_revenue_amount,
    cast(case when not is_cost_missing then cost end as numeric(24, 6)) as cost_amount,
    cast(estimated_cost as numeric(24, 6)) as estimated_cost_amount,
    case
        when has_price then 'price'
        when has_unit then 'unit_of_register'
        when has_register then 'register'
    end as cost_source,
    cast(revenue_without_cost as numeric(24, 6)) as revenue_without_cost_amount,
    case when is_cost_missing and has_register is not true then 'no_cost' when is_cost_missing then 'some_products_without_cost' end
        as margin_missing_reason,
    cast(gross_margin as numeric(24, 6)) as gross_margin_amount,
    cast(round(100 * gross_margin / nullif(revenue, 0), 2) as numeric(12, 2)) as gross_margin_percent,
    cast(delivery as numeric(24, 6)) as delivery_amount,
    cast(marketing as numeric(24, 6)) as marketing_amount,
    cast(retro_bonus as numeric(24, 6)) as retro_bonus_amount,
    cast(bonus as numeric(24, 6)) as bonus_amount,
    not_fed as expenses_not_fed,
    cast(case when has_expenses then gross_margin - known_expenses end as numeric(24, 6)) as contribution_margin_amount,
    cast(
        case when has_expenses then round(100 * (gross_margin - known_expenses) / nullif(revenue, 0), 2) end as numeric(12, 2)
    ) as contribution_margin_percent,
    case
        when gross_margin is null then 'no_gross_margin'
        when not has_expenses then 'no_expenses_in_the_month'
    end as contribution_missing_reason
from judged
