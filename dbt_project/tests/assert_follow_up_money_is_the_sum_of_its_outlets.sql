-- The money of a row is that of what it tells, each rouble once.
select
    follow_ups.instance,
    follow_ups.client_id,
    follow_ups.money_at_risk,
    sum(cast(told.facts ->> 'money_at_risk' as numeric)) as money_told
from {{ ref('follow_up') }} as follow_ups
cross join
    lateral jsonb_array_elements(
        (follow_ups.evidence -> 'outlets') || coalesce(follow_ups.evidence -> 'findings', '[]')
    ) as told (facts)
where follow_ups.as_of = {{ as_of() }}
group by follow_ups.instance, follow_ups.client_id, follow_ups.money_at_risk
having follow_ups.money_at_risk <> sum(cast(told.facts ->> 'money_at_risk' as numeric))
