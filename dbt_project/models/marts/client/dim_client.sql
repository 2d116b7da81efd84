{{ config(indexes=[{'columns': ['instance', 'client_id'], 'unique': true}, {'columns': ['instance', 'manager_id']}]) }}

with clients as (
    select * from {{ ref('int_client') }}
),

managers as (
    select * from {{ ref('stg_onec__manager') }}
),

territories as (
    select * from {{ ref('stg_onec__business_region') }}
)

select
    clients.instance,
    clients.client_id,
    clients.client_code,
    clients.client_name,
    clients.person_kind,
    clients.channel,
    clients.territory_id,
    territories.name as territory_name,
    clients.manager_id,
    managers.name as manager_name,
    clients.registered_on,
    clients.closed_on,
    clients.outlets_total,
    clients.legal_entities_total,
    clients.is_withdrawn
from clients
left join managers on clients.instance = managers.instance and clients.manager_id = managers.manager_id
left join territories on clients.instance = territories.instance and clients.territory_id = territories.territory_id
