-- Buckets make the debt, the debt less advances makes the balance, and the balance is where the movements end.
with aging as (
    select * from {{ ref('receivable_aging') }}
    where as_of = {{ as_of() }}
),

closings as (
    select distinct on (instance, legal_entity_id, contract_id)
        instance,
        legal_entity_id,
        contract_id,
        closing_amount
    from {{ ref('receivable_rollforward') }}
    order by instance, legal_entity_id, contract_id, month_start desc
)

select
    coalesce(aging.instance, closings.instance) as instance,
    coalesce(aging.contract_id, closings.contract_id) as contract_id,
    aging.open_amount,
    aging.balance_amount,
    closings.closing_amount
from aging
full outer join closings
    on
        aging.instance = closings.instance
        and aging.legal_entity_id = closings.legal_entity_id
        and aging.contract_id = closings.contract_id
where
    aging.open_amount <> aging.not_due_amount + aging.overdue_1_7_amount + aging.overdue_8_14_amount
    + aging.overdue_15_30_amount + aging.overdue_31_60_amount + aging.overdue_61_90_amount + aging.overdue_over_90_amount
    or aging.balance_amount <> aging.open_amount - aging.unallocated_amount
    or coalesce(aging.balance_amount, 0) <> coalesce(closings.closing_amount, 0)
