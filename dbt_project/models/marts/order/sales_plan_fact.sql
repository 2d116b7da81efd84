{{ config(indexes=[{'columns': ['plan_month']}]) }}

-- The plan of each month next to what was shipped less returned, and where the month is heading.
with plans as (
    select * from {{ ref('stg_reference__sales_plan') }}
),

instances as (
    select * from {{ ref('stg_ops__source_instance') }}
),

managers as (
    select * from {{ ref('stg_onec__manager') }}
),

clients as (
    select * from {{ ref('int_client') }}
),

folders as (
    select * from {{ ref('stg_onec__product') }}
    where is_folder
),

territories as (
    select * from {{ ref('stg_onec__business_region') }}
    where not is_deleted
),

resolved as (
    select
        plans.*,
        instances.instance as of_instance,
        managers.manager_id,
        clients.client_id,
        folders.product_id as category_id,
        territories.territory_id,
        (plans.manager is not null and managers.manager_id is null)
        or (plans.client_code is not null and clients.client_id is null)
        or (plans.product_group is not null and folders.product_id is null)
        or (plans.territory is not null and territories.territory_id is null) as is_unknown
    from plans
    inner join instances on coalesce(plans.instance, instances.instance) = instances.instance
    left join managers on instances.instance = managers.instance and plans.manager = managers.name
    left join clients on instances.instance = clients.instance and plans.client_code = clients.client_code
    left join folders on instances.instance = folders.instance and plans.product_group = folders.name
    left join territories on instances.instance = territories.instance and plans.territory = territories.name
),

sales as (
    select
        sales.instance,
        sales.month_start,
        sales.manager_id,
        outlets.client_id,
        outlets.territory_id,
        skus.category_id,
        sum(sales.shipped_amount - sales.returned_amount) as amount
    from {{ ref('sales_daily') }} as sales
    left join {{ ref('int_outlet') }} as outlets
        on sales.instance = outlets.instance and sales.outlet_id = outlets.outlet_id
    left join {{ ref('int_sku') }} as skus on sales.instance = skus.instance and sales.product_id = skus.product_id
    where sales.sold_on <= {{ as_of() }} and sales.month_start in (select plans.plan_month from plans)
    group by sales.instance, sales.month_start, sales.manager_id, outlets.client_id, outlets.territory_id, skus.category_id
),

working_days as (
    select
        cast(date_trunc('month', date_day) as date) as month_start,
        count(*) filter (where is_working_day) as days_total,
        count(*) filter (where is_working_day and date_day <= {{ as_of() }}) as days_elapsed
    from {{ ref('int_calendar') }}
    group by cast(date_trunc('month', date_day) as date)
),

facts as (
    select
        resolved.row_no,
        resolved.of_instance,
        sum(sales.amount) as amount
    from resolved
    inner join sales
        on
            not resolved.is_unknown
            and resolved.of_instance = sales.instance
            and resolved.plan_month = sales.month_start
            and coalesce(resolved.manager_id, sales.manager_id, '') = coalesce(sales.manager_id, '')
            and coalesce(resolved.client_id, sales.client_id, '') = coalesce(sales.client_id, '')
            and coalesce(resolved.category_id, sales.category_id, '') = coalesce(sales.category_id, '')
            and coalesce(resolved.territory_id, sales.territory_id, '') = coalesce(sales.territory_id, '')
    group by resolved.row_no, resolved.of_instance
)

select
    resolved.of_instance as instance,
    resolved.row_no as plan_row,
    resolved.plan_month,
    resolved.manager_id,
    resolved.client_id,
    resolved.category_id,
    resolved.territory_id,
    resolved.is_unknown,
    cast(resolved.amount as numeric(18, 2)) as plan_amount,
    case when not resolved.is_unknown then cast(round(coalesce(facts.amount, 0), 2) as numeric(18, 2)) end as fact_amount,
    case
        when not resolved.is_unknown
            then cast(round(100 * coalesce(facts.amount, 0) / nullif(resolved.amount, 0), 2) as numeric(12, 2))
    end as attainment_percent,
    cast(working_days.days_total as integer) as working_days_total,
    cast(working_days.days_elapsed as integer) as working_days_elapsed,
    cast(
        round(resolved.amount * working_days.days_elapsed / nullif(working_days.days_total, 0), 2) as numeric(18, 2)
    ) as plan_to_date_amount,
    case
        when not resolved.is_unknown
            then cast(
                round(coalesce(facts.amount, 0) * working_days.days_total / nullif(working_days.days_elapsed, 0), 2) as numeric(18, 2)
            )
    end as run_rate_amount,
    coalesce(resolved.plan_month + interval '1 month' <= {{ as_of() }}, false) as is_complete
from resolved
left join facts on resolved.row_no = facts.row_no and resolved.of_instance = facts.of_instance
left join working_days on resolved.plan_month = working_days.month_start
