{{
    config(
        indexes=[
            {'columns': ['instance', 'outlet_id'], 'unique': true},
            {'columns': ['instance', 'client_id']},
            {'columns': ['instance', 'manager_id']},
        ]
    )
}}

with outlets as (
    select * from {{ ref('int_outlet') }}
),

clients as (
    select * from {{ ref('int_client') }}
),

managers as (
    select * from {{ ref('stg_onec__manager') }}
),

territories as (
    select * from {{ ref('stg_onec__business_region') }}
)

select
    outlets.instance,
    outlets.outlet_id,
    outlets.outlet_name,
    outlets.outlet_code,
    outlets.client_id,
    clients.client_name,
    outlets.partner_id,
    outlets.outlet_format,
    outlets.outlet_format_name,
    outlets.breadth_standard,
    outlets.channel,
    outlets.territory_id,
    territories.name as territory_name,
    outlets.manager_id,
    managers.name as manager_name,
    outlets.address,
    outlets.city,
    outlets.registered_on,
    outlets.closed_on,
    outlets.is_inferred,
    outlets.is_withdrawn
from outlets
left join clients on outlets.instance = clients.instance and outlets.client_id = clients.client_id
left join managers on outlets.instance = managers.instance and outlets.manager_id = managers.manager_id
left join territories on outlets.instance = territories.instance and outlets.territory_id = territories.territory_id
