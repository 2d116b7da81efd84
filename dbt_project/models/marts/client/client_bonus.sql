{{ config(indexes=[{'columns': ['instance', 'client_id'], 'unique': true}]) }}

-- Bonus points of each client on the business date, next to the balance that 1C says.
with movements as (
    select * from {{ ref('int_bonus_movement') }}
),

ours as (
    select
        instance,
        client_id,
        min(moved_on) as joined_on,
        max(moved_on) filter (where moved_on <= {{ as_of() }}) as last_moved_on,
        sum(points) filter (where points > 0 and moved_on <= {{ as_of() }}) as issued,
        -1 * sum(points) filter (where points < 0 and moved_on <= {{ as_of() }}) as redeemed,
        max(moved_on) > {{ as_of() }} as is_register_newer
    from movements
    group by instance, client_id
),

clients as (
    select * from {{ ref('int_partner_client') }}
),

registers as (
    select
        balances.instance,
        clients.client_id,
        sum(balances.accrued) as points
    from {{ ref('stg_onec__bonus_balance') }} as balances
    left join {{ ref('stg_onec__legal_entity') }} as legal_entities
        on balances.instance = legal_entities.instance and balances.legal_entity_id = legal_entities.legal_entity_id
    inner join clients
        on
            balances.instance = clients.instance
            and coalesce(balances.partner_id, legal_entities.partner_id) = clients.partner_id
    where not balances.is_deleted
    group by balances.instance, clients.client_id
)

select
    coalesce(ours.instance, registers.instance) as instance,
    coalesce(ours.client_id, registers.client_id) as client_id,
    ours.joined_on,
    ours.last_moved_on,
    cast(coalesce(ours.issued, 0) as numeric(18, 2)) as points_issued,
    cast(coalesce(ours.redeemed, 0) as numeric(18, 2)) as points_redeemed,
    cast(coalesce(ours.issued, 0) - coalesce(ours.redeemed, 0) as numeric(18, 2)) as points_balance,
    cast(
        (coalesce(ours.issued, 0) - coalesce(ours.redeemed, 0)) * {{ var('bonus_point_value') }} as numeric(18, 2)
    ) as liability_amount,
    cast(round(100 * ours.redeemed / nullif(ours.issued, 0), 2) as numeric(12, 2)) as redeemed_percent,
    cast(case when ours.is_register_newer is not true then registers.points end as numeric(18, 2)) as register_points
from ours
full outer join registers on ours.instance = registers.instance and ours.client_id = registers.client_id
