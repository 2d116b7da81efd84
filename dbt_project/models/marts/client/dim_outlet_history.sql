{{ config(indexes=[{'columns': ['instance', 'outlet_id', 'valid_from'], 'unique': true}]) }}

with history as (
    select * from {{ ref('int_outlet_history') }}
),

managers as (
    select * from {{ ref('stg_onec__manager') }}
),

territories as (
    select * from {{ ref('stg_onec__business_region') }}
)

select
    history.instance,
    history.outlet_id,
    history.outlet_name,
    history.client_id,
    history.partner_id,
    history.source_format,
    history.channel,
    history.territory_id,
    territories.name as territory_name,
    history.manager_id,
    managers.name as manager_name,
    history.closed_on,
    history.is_withdrawn,
    history.valid_from,
    history.valid_to,
    history.known_since,
    history.valid_to = '9999-12-31' as is_current
from history
left join managers on history.instance = managers.instance and history.manager_id = managers.manager_id
left join territories on history.instance = territories.instance and history.territory_id = territories.territory_id
