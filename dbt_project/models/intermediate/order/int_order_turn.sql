-- Occasions of each outlet in their order, with the habit of the time before each: the median gap and how deep history was.
with occasions as (
    select
        *,
        ordered_on - lag(ordered_on) over (partition by instance, outlet_id order by ordered_on) as gap_days
    from {{ ref('fct_order_occasion') }}
),

numbered as (
    select
        instance,
        outlet_id,
        ordered_on,
        client_id,
        branch_id,
        manager_id,
        gap_days,
        amount_with_vat,
        row_number() over own_days as turn_no,
        array_agg(gap_days) over (
            partition by instance, outlet_id order by ordered_on
            rows between {{ var('rhythm_occasions') }} preceding and 1 preceding
        ) as gaps_before
    from occasions
    window own_days as (partition by instance, outlet_id order by ordered_on)
)

select
    instance,
    outlet_id,
    ordered_on,
    client_id,
    branch_id,
    manager_id,
    turn_no,
    gap_days,
    amount_with_vat,
    gaps_before
from numbered
