-- Every missed outlet is in its client's row once, with its money, unless somebody has just spoken with the client; nothing
-- else is told as missed.
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
        expectations.instance,
        expectations.client_id,
        expectations.outlet_id,
        expectations.money_at_risk
    from {{ ref('order_expectation') }} as expectations
    left join {{ ref('int_client_rest') }} as rests
        on
            expectations.instance = rests.instance
            and expectations.client_id = rests.client_id
            and (rests.outlet_id is null or expectations.outlet_id = rests.outlet_id)
    where
        expectations.as_of = {{ as_of() }}
        and expectations.status = 'missed_order'
        and 'missed_order' = any({{ text_list('enabled_reasons') }})
        and rests.client_id is null
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
