{{ config(indexes=[{'columns': ['instance', 'legal_entity_id'], 'unique': true}, {'columns': ['instance', 'client_id']}]) }}

-- Legal entities as they are now. Where a client registered anew, the later entity continues the one that it stopped
-- shipping to: the former shipped last before the later shipped first.
with legal_entities as (
    select * from {{ ref('stg_onec__legal_entity') }}
),

outlets as (
    select
        instance,
        partner_id,
        min(client_id) as client_id
    from {{ ref('int_outlet') }}
    group by instance, partner_id
),

clients as (
    select * from {{ ref('int_client') }}
),

trade as (
    select
        instance,
        legal_entity_id,
        min(shipped_on) as first_shipped_on,
        max(shipped_on) as last_shipped_on
    from {{ ref('int_shipment') }}
    where legal_entity_id is not null
    group by instance, legal_entity_id
),

placed as (
    select
        legal_entities.*,
        coalesce(clients.client_id, outlets.client_id) as client_id,
        trade.first_shipped_on,
        trade.last_shipped_on
    from legal_entities
    left join clients
        on legal_entities.instance = clients.instance and legal_entities.partner_id = clients.client_id
    left join outlets
        on legal_entities.instance = outlets.instance and legal_entities.partner_id = outlets.partner_id
    left join trade
        on
            legal_entities.instance = trade.instance
            and legal_entities.legal_entity_id = trade.legal_entity_id
),

-- Entities of one partner that never traded at the same time.
succeeded as (
    select distinct on (later.instance, later.legal_entity_id)
        later.instance,
        later.legal_entity_id,
        former.legal_entity_id as successor_of
    from placed as later
    inner join placed as former
        on
            later.instance = former.instance
            and later.partner_id = former.partner_id
            and later.first_shipped_on > former.last_shipped_on
    order by later.instance, later.legal_entity_id, former.last_shipped_on desc, former.legal_entity_id
)

select
    placed.instance,
    placed.legal_entity_id,
    placed.name,
    placed.full_name,
    placed.person_kind,
    placed.inn,
    placed.kpp,
    {{ is_valid_inn('placed.inn') }} as is_inn_valid,
    placed.partner_id,
    placed.client_id,
    placed.head_id,
    succeeded.successor_of,
    placed.first_shipped_on,
    placed.last_shipped_on,
    placed.deletion_mark or placed.is_deleted as is_withdrawn
from placed
left join succeeded
    on placed.instance = succeeded.instance and placed.legal_entity_id = succeeded.legal_entity_id
