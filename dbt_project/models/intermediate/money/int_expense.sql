{{ config(materialized='table', post_hook='{{ analyze_this() }}') }}

-- What was spent on selling, month by month: kind by the words of the expense item, client where the line names one.
with expenses as (
    select * from {{ ref('stg_onec__expense') }}
    where not is_deleted and not deletion_mark and posted
),

items as (
    select distinct on (items.instance, items.expense_item_id)
        items.instance,
        items.expense_item_id,
        kinds.expense_kind
    from {{ ref('stg_onec__expense_item') }} as items
    inner join {{ ref('expense_item_map') }} as kinds on lower(items.name) ~ kinds.pattern
    order by items.instance, items.expense_item_id, kinds.priority
),

clients as (
    select * from {{ ref('int_partner_client') }}
)

select
    expenses.instance,
    cast(date_trunc('month', expenses.dated_at at time zone source_instances.time_zone) as date) as month_start,
    cast(expenses.dated_at at time zone source_instances.time_zone as date) as spent_on,
    expenses.organisation_id,
    coalesce(items.expense_kind, 'other') as expense_kind,
    clients.client_id,
    sum(coalesce(lines.amount_with_vat, lines.amount) - coalesce(lines.vat_amount, 0)) as amount_without_vat
from expenses
inner join {{ ref('stg_onec__expense_line') }} as lines
    on expenses.instance = lines.instance and expenses.expense_id = lines.expense_id
inner join {{ ref('stg_ops__source_instance') }} as source_instances on expenses.instance = source_instances.instance
left join items on lines.instance = items.instance and lines.expense_item_id = items.expense_item_id
left join clients on lines.instance = clients.instance and lines.analytics_id = clients.partner_id
group by
    expenses.instance,
    cast(date_trunc('month', expenses.dated_at at time zone source_instances.time_zone) as date),
    cast(expenses.dated_at at time zone source_instances.time_zone as date),
    expenses.organisation_id,
    coalesce(items.expense_kind, 'other'),
    clients.client_id
