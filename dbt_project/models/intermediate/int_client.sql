{{
    config(
        materialized='table',
        indexes=[{'columns': ['instance', 'client_id'], 'unique': true}],
        post_hook='{{ analyze_this() }}'
    )
}}

with outlets as (
    select * from {{ ref('int_outlet') }}
),

partners as (
    select * from {{ ref('stg_onec__partner') }}
),

legal_entities as (
    select
        instance,
        partner_id,
        count(*) as legal_entities_total
    from {{ ref('stg_onec__legal_entity') }}
    where not is_deleted and not deletion_mark
    group by instance, partner_id
),

clients as (
    select
        instance,
        client_id,
        min(outlet_name) as any_outlet_name,
        min(manager_id) as any_manager_id,
        min(territory_id) as any_territory_id,
        count(*) filter (
            where not is_withdrawn and not is_inferred and (closed_on is null or closed_on > {{ as_of() }})
        ) as outlets_total,
        bool_and(is_withdrawn) as is_withdrawn
    from outlets
    group by instance, client_id
)

select
    clients.instance,
    clients.client_id,
    partners.code as client_code,
    coalesce(partners.name, clients.any_outlet_name) as client_name,
    partners.full_name,
    partners.person_kind,
    partners.channel,
    coalesce(partners.territory_id, clients.any_territory_id) as territory_id,
    coalesce(partners.manager_id, clients.any_manager_id) as manager_id,
    partners.registered_on,
    partners.closed_on,
    clients.outlets_total,
    coalesce(legal_entities.legal_entities_total, 0) as legal_entities_total,
    clients.is_withdrawn
from clients
left join partners on clients.instance = partners.instance and clients.client_id = partners.partner_id
left join legal_entities
    on clients.instance = legal_entities.instance and clients.client_id = legal_entities.partner_id
