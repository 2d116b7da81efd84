-- Opening + shipped + corrected - returned - paid - written off = closing, and each month opens where the last one closed.
with months as (
    select
        *,
        lag(closing_amount) over (partition by instance, legal_entity_id, contract_id order by month_start) as closed_before
    from {{ ref('receivable_rollforward') }}
)

select * from months
where
    opening_amount + shipped_amount + corrected_amount - returned_amount - paid_amount - written_off_amount <> closing_amount
    or opening_amount <> coalesce(closed_before, 0)
