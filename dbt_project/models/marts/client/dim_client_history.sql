{{ config(indexes=[{'columns': ['instance', 'client_id', 'valid_from'], 'unique': true}]) }}

with history as (
    select * from {{ ref('int_partner_history') }}
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
    history.instance,
    history.partner_id as client_id,
    history.code as client_code,
    history.name as client_name,
    history.channel,
    history.territory_id,
    territories.name as territory_name,
    history.manager_id,
    managers.name as manager_name,
    history.strategy_model,
    history.closed_on,
    history.is_withdrawn,
    history.valid_from,
    history.valid_to,
    history.known_since,
    history.valid_to = '9999-12-31' as is_current
from history
inner join clients on history.instance = clients.instance and history.partner_id = clients.client_id
left join managers on history.instance = managers.instance and history.manager_id = managers.manager_id
left join territories on history.instance = territories.instance and history.territory_id = territories.territory_id
