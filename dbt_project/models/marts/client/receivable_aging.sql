{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook='{{ delete_as_of() }}',
        indexes=[
            {'columns': ['as_of', 'instance', 'legal_entity_id', 'contract_id'], 'unique': true},
            {'columns': ['instance', 'legal_entity_id']},
        ]
    )
}}

-- Debt of each legal entity under each contract on the business date. The contract is the level at which debts and
-- payments meet; the net of the whole legal entity stands beside it. A row for every contract that owes or has paid ahead,
-- or that 1C says owes.
with items as (
    select * from {{ ref('receivable_open_item') }}
),

rests as (
    select * from {{ ref('int_receivable_item') }}
),

aged as (
    select
        instance,
        legal_entity_id,
        contract_id,
        count(distinct shipment_id) as documents_total,
        min(due_on) as oldest_due_on,
        sum(open_amount) as open_amount,
        sum(open_amount) filter (where overdue_days <= 0) as not_due,
        sum(open_amount) filter (where overdue_days between 1 and 7) as days_1_7,
        sum(open_amount) filter (where overdue_days between 8 and 14) as days_8_14,
        sum(open_amount) filter (where overdue_days between 15 and 30) as days_15_30,
        sum(open_amount) filter (where overdue_days between 31 and 60) as days_31_60,
        sum(open_amount) filter (where overdue_days between 61 and 90) as days_61_90,
        sum(open_amount) filter (where overdue_days > 90) as days_over_90
    from items
    group by instance, legal_entity_id, contract_id
),

left_over as (
    select
        instance,
        legal_entity_id,
        contract_id,
        -1 * sum(open_amount) filter (where shipment_id is null) as unallocated,
        sum(paid_by_fifo) as paid_by_fifo
    from rests
    group by instance, legal_entity_id, contract_id
),

-- 1C's own register speaks of the moment it was read: silent when documents after the business date are known.
registers as (
    select
        terms.instance,
        coalesce(terms.legal_entity_id, 'unknown') as legal_entity_id,
        coalesce(terms.contract_id, 'unknown') as contract_id,
        sum(coalesce(terms.debt, 0) - coalesce(terms.prepayment, 0)) as balance
    from {{ ref('stg_onec__settlement_term') }} as terms
    where
        not terms.is_deleted
        and terms.instance not in (
            select known.instance from {{ ref('int_receivable_movement') }} as known
            where known.moved_on > {{ as_of() }}
        )
    group by terms.instance, coalesce(terms.legal_entity_id, 'unknown'), coalesce(terms.contract_id, 'unknown')
),

keys as (
    select
        instance,
        legal_entity_id,
        contract_id
    from aged
    union
    select
        instance,
        legal_entity_id,
        contract_id
    from left_over
    where unallocated > 0
    union
    select
        instance,
        legal_entity_id,
        contract_id
    from registers
    where balance <> 0
),

owed as (
    select
        aged.instance,
        aged.legal_entity_id,
        aged.contract_id,
        aged.open_amount - coalesce(left_over.unallocated, 0) as balance
    from aged
    left join left_over
        on
            aged.instance = left_over.instance
            and aged.legal_entity_id = left_over.legal_entity_id
            and aged.contract_id = left_over.contract_id
),

-- Shipments of the window use up nearly every debt; those of contracts whose debt is older are all looked at.
recent as (
    select
        movements.instance,
        movements.legal_entity_id,
        movements.contract_id,
        owed.balance,
        movements.moved_on,
        movements.amount
    from {{ ref('int_receivable_movement') }} as movements
    inner join owed
        on
            movements.instance = owed.instance
            and movements.legal_entity_id = owed.legal_entity_id
            and movements.contract_id = owed.contract_id
    where
        movements.movement_kind = 'shipped'
        and movements.moved_on <= {{ as_of() }}
        and movements.moved_on > {{ as_of() }} - {{ var('dso_days') }}
),

long_due as (
    select
        owed.instance,
        owed.legal_entity_id,
        owed.contract_id,
        owed.balance
    from owed
    left join recent
        on
            owed.instance = recent.instance
            and owed.legal_entity_id = recent.legal_entity_id
            and owed.contract_id = recent.contract_id
    group by owed.instance, owed.legal_entity_id, owed.contract_id, owed.balance
    having coalesce(sum(recent.amount), 0) < owed.balance
),

shipped as (
    select * from recent
    union all
    select
        movements.instance,
        movements.legal_entity_id,
        movements.contract_id,
        long_due.balance,
        movements.moved_on,
        movements.amount
    from long_due
    inner join {{ ref('int_receivable_movement') }} as movements
        on
            long_due.instance = movements.instance
            and long_due.legal_entity_id = movements.legal_entity_id
            and long_due.contract_id = movements.contract_id
    where movements.movement_kind = 'shipped' and movements.moved_on <= {{ as_of() }} - {{ var('dso_days') }}
),

shipped_days as (
    select
        instance,
        legal_entity_id,
        contract_id,
        balance,
        moved_on,
        sum(amount) as amount
    from shipped
    group by instance, legal_entity_id, contract_id, balance, moved_on
),

backwards as (
    select
        *,
        sum(amount) over (partition by instance, legal_entity_id, contract_id order by moved_on desc) as amount_since
    from shipped_days
),

balances as (
    select
        keys.*,
        aged.documents_total,
        aged.oldest_due_on,
        coalesce(aged.open_amount, 0) as open_amount,
        coalesce(aged.not_due, 0) as not_due,
        coalesce(aged.days_1_7, 0) as days_1_7,
        coalesce(aged.days_8_14, 0) as days_8_14,
        coalesce(aged.days_15_30, 0) as days_15_30,
        coalesce(aged.days_31_60, 0) as days_31_60,
        coalesce(aged.days_61_90, 0) as days_61_90,
        coalesce(aged.days_over_90, 0) as days_over_90,
        coalesce(left_over.unallocated, 0) as unallocated,
        coalesce(left_over.paid_by_fifo, 0) as paid_by_fifo,
        case when landed.instance is not null then coalesce(registers.balance, 0) end as register_balance
    from keys
    left join aged
        on
            keys.instance = aged.instance
            and keys.legal_entity_id = aged.legal_entity_id
            and keys.contract_id = aged.contract_id
    left join left_over
        on
            keys.instance = left_over.instance
            and keys.legal_entity_id = left_over.legal_entity_id
            and keys.contract_id = left_over.contract_id
    left join registers
        on
            keys.instance = registers.instance
            and keys.legal_entity_id = registers.legal_entity_id
            and keys.contract_id = registers.contract_id
    left join (select distinct known.instance from registers as known) as landed on keys.instance = landed.instance
),

turnover as (
    select
        instance,
        legal_entity_id,
        contract_id,
        sum(amount) filter (where moved_on > {{ as_of() }} - {{ var('dso_days') }}) as shipped_in_window,
        -- The day on which going back uses the debt up, and the part of it that is needed.
        max({{ as_of() }} - moved_on + (balance - (amount_since - amount)) / amount) filter (
            where amount > 0 and amount_since >= balance and amount_since - amount < balance
        ) as countback_days
    from backwards
    group by instance, legal_entity_id, contract_id
),

entities as (
    select * from {{ ref('dim_legal_entity') }}
)

select
    {{ as_of() }} as as_of,
    balances.instance,
    balances.legal_entity_id,
    balances.contract_id,
    entities.name as legal_entity_name,
    entities.client_id,
    cast(coalesce(balances.documents_total, 0) as integer) as documents_total,
    balances.oldest_due_on,
    cast(balances.open_amount as numeric(24, 6)) as open_amount,
    cast(balances.not_due as numeric(24, 6)) as not_due_amount,
    cast(balances.days_1_7 as numeric(24, 6)) as overdue_1_7_amount,
    cast(balances.days_8_14 as numeric(24, 6)) as overdue_8_14_amount,
    cast(balances.days_15_30 as numeric(24, 6)) as overdue_15_30_amount,
    cast(balances.days_31_60 as numeric(24, 6)) as overdue_31_60_amount,
    cast(balances.days_61_90 as numeric(24, 6)) as overdue_61_90_amount,
    cast(balances.days_over_90 as numeric(24, 6)) as overdue_over_90_amount,
    cast(balances.open_amount - balances.not_due as numeric(24, 6)) as overdue_amount,
    cast(balances.unallocated as numeric(24, 6)) as unallocated_amount,
    cast(balances.open_amount - balances.unallocated as numeric(24, 6)) as balance_amount,
    cast(
        sum(balances.open_amount - balances.unallocated) over (partition by balances.instance, balances.legal_entity_id)
        as numeric(24, 6)
    ) as legal_entity_balance_amount,
    cast(balances.paid_by_fifo as numeric(24, 6)) as paid_by_fifo_amount,
    balances.paid_by_fifo > 0 as has_fifo_payments,
    cast(coalesce(turnover.shipped_in_window, 0) as numeric(24, 6)) as shipped_in_window_amount,
    cast(
        round(
            greatest(balances.open_amount - balances.unallocated, 0) * {{ var('dso_days') }}
            / nullif(turnover.shipped_in_window, 0), 1
        ) as numeric(12, 1)
    ) as dso_days,
    cast(round(turnover.countback_days, 1) as numeric(12, 1)) as dso_countback_days,
    cast(balances.register_balance as numeric(24, 6)) as register_balance_amount,
    cast(
        balances.open_amount - balances.unallocated - balances.register_balance as numeric(24, 6)
    ) as register_difference_amount
from balances
left join turnover
    on
        balances.instance = turnover.instance
        and balances.legal_entity_id = turnover.legal_entity_id
        and balances.contract_id = turnover.contract_id
left join entities
    on balances.instance = entities.instance and balances.legal_entity_id = entities.legal_entity_id
