-- Every missed outlet is in its client's row once, with its money; nothing else is.
with listed as (
    select
        follow_ups.instance,
        follow_ups.client_id,
        outlets.outlet_id,
        cast(outlets.money_at_risk as numeric(18, 2)) as money_at_risk
    from {{ ref('follow_up') }} as follow_ups
    cross join lateral jsonb_to_recordset(follow_ups.evidence -> 'outlets') as outlets (outlet_id text, money_at_risk numeric)
    where follow_ups.as_of = {{ as_of() }}
),

missed as (
    select
        instance,
        client_id,
        outlet_id,
        money_at_risk
    from {{ ref('order_expectation') }}
    where as_of = {{ as_of() }} and status = 'missed_order'
)

(
    select * from listed
    except all
    select * from missed
)
union all
(
    select * from missed
    except all
    select * from listed
)
