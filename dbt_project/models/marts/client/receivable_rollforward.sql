{{ config(indexes=[{'columns': ['instance', 'legal_entity_id', 'contract_id', 'month_start'], 'unique': true}]) }}

-- How the debt of each contract came about, month by month: opening + shipped + corrected - returned - paid - written off = closing.
with movements as (
    select
        *,
        cast(date_trunc('month', moved_on) as date) as month_start
    from {{ ref('int_receivable_movement') }}
    where moved_on <= {{ as_of() }}
),

months as (
    select
        instance,
        legal_entity_id,
        contract_id,
        month_start,
        coalesce(sum(amount) filter (where movement_kind = 'shipped'), 0) as shipped,
        coalesce(sum(amount) filter (where movement_kind = 'corrected'), 0) as corrected,
        -1 * coalesce(sum(amount) filter (where movement_kind = 'returned'), 0) as returned,
        -1 * coalesce(sum(amount) filter (where movement_kind = 'paid'), 0) as paid,
        -1 * coalesce(sum(amount) filter (where movement_kind = 'adjusted'), 0) as adjusted,
        sum(amount) as change
    from movements
    group by instance, legal_entity_id, contract_id, month_start
)

select
    instance,
    legal_entity_id,
    contract_id,
    month_start,
    cast(sum(change) over so_far - change as numeric(24, 6)) as opening_amount,
    cast(shipped as numeric(24, 6)) as shipped_amount,
    cast(corrected as numeric(24, 6)) as corrected_amount,
    cast(returned as numeric(24, 6)) as returned_amount,
    cast(paid as numeric(24, 6)) as paid_amount,
    cast(adjusted as numeric(24, 6)) as written_off_amount,
    cast(sum(change) over so_far as numeric(24, 6)) as closing_amount,
    cast(month_start + interval '1 month' as date) <= {{ as_of() }} as is_complete
from months
window so_far as (partition by instance, legal_entity_id, contract_id order by month_start)
