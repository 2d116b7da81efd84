{{ config(materialized='table', post_hook='{{ analyze_this() }}') }}

-- Points given to and taken from each client. Points on their way to a write-off are not gone yet.
with movements as (
    select * from {{ ref('stg_onec__bonus_movement_line') }}
    where active and not is_deleted and coalesce(accrued, 0) <> 0
),

legal_entities as (
    select * from {{ ref('stg_onec__legal_entity') }}
),

clients as (
    select * from {{ ref('int_partner_client') }}
)

select
    movements.instance,
    clients.client_id,
    cast(movements.moved_at at time zone source_instances.time_zone as date) as moved_on,
    case when movements.movement_kind = 'Expense' then -1 else 1 end * movements.accrued as points
from movements
inner join {{ ref('stg_ops__source_instance') }} as source_instances on movements.instance = source_instances.instance
left join legal_entities
    on movements.instance = legal_entities.instance and movements.legal_entity_id = legal_entities.legal_entity_id
left join clients
    on
        movements.instance = clients.instance
        and coalesce(movements.partner_id, legal_entities.partner_id) = clients.partner_id
where clients.client_id is not null
