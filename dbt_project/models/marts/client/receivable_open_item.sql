{{ config(indexes=[{'columns': ['instance', 'shipment_id', 'due_on'], 'unique': true}, {'columns': ['instance', 'legal_entity_id']}]) }}

-- Unpaid shipments, each split by the days its parts fall due. What was paid so far paid the earliest part first. A due
-- date on a day off moves to the next working day.
with items as (
    select * from {{ ref('int_receivable_item') }}
    where shipment_id is not null and open_amount > 0
),

contracts as (
    select * from {{ ref('stg_onec__contract') }}
),

stages as (
    select
        stages.instance,
        stages.shipment_id,
        stages.due_on,
        sum(stages.percent) as percent
    from {{ ref('stg_onec__shipment_payment_stage') }} as stages
    inner join items on stages.instance = items.instance and stages.shipment_id = items.shipment_id
    where stages.due_on is not null and stages.percent > 0
    group by stages.instance, stages.shipment_id, stages.due_on
),

shares as (
    select
        items.*,
        coalesce(stages.due_on, items.shipped_on + coalesce(cast(contracts.deferral_days as integer), 0)) as agreed_due_on,
        coalesce(
            sum(stages.percent) over (
                partition by items.instance, items.shipment_id
                order by stages.due_on desc
                rows between unbounded preceding and 1 preceding
            ), 0
        ) / coalesce(sum(stages.percent) over (partition by items.instance, items.shipment_id), 100) as later_share,
        coalesce(stages.percent, 100)
        / coalesce(sum(stages.percent) over (partition by items.instance, items.shipment_id), 100) as own_share
    from items
    left join stages on items.instance = stages.instance and items.shipment_id = stages.shipment_id
    left join contracts on items.instance = contracts.instance and items.contract_id = contracts.contract_id
),

-- The unpaid rest fills the latest part first; the earliest takes whatever is beyond them all.
split as (
    select
        *,
        case
            when later_share + own_share >= 1 then greatest(open_amount - round(amount * later_share, 2), 0)
            else greatest(
                least(open_amount, round(amount * (later_share + own_share), 2)) - round(amount * later_share, 2), 0
            )
        end as part
    from shares
)

select
    split.instance,
    split.legal_entity_id,
    split.contract_id,
    split.shipment_id,
    split.document_number,
    split.shipped_on,
    coalesce(calendar.next_working_day, split.agreed_due_on) as due_on,
    {{ as_of() }} - coalesce(calendar.next_working_day, split.agreed_due_on) as overdue_days,
    cast(sum(split.amount * split.own_share) as numeric(24, 6)) as shipped_amount,
    cast(sum(split.part) as numeric(24, 6)) as open_amount,
    bool_or(split.paid_by_fifo > 0) as is_matched_by_fifo
from split
left join {{ ref('int_calendar') }} as calendar on split.agreed_due_on = calendar.date_day
where split.part > 0
group by
    split.instance, split.legal_entity_id, split.contract_id, split.shipment_id, split.document_number, split.shipped_on,
    coalesce(calendar.next_working_day, split.agreed_due_on)
