-- УТ names the client by an analytics key or by the settlement object, УНФ by the legal entity itself.
with source as (
    select * from {{ source('onec', 'onec_settlement') }}
),

accounting_keys as (
    select * from {{ source('onec', 'onec_partner_accounting_key') }}
),

settlement_objects as (
    select * from {{ source('onec', 'onec_settlement_object') }}
),

legal_entities as (
    select * from {{ source('onec', 'onec_legal_entity') }}
)

select
    source.instance,
    source.record_id as row_id,
    source.accounting_key_id,
    coalesce(source.organisation_id, accounting_keys.organisation_id, settlement_objects.organisation_id) as organisation_id,
    coalesce(accounting_keys.partner_id, settlement_objects.partner_id, legal_entities.partner_id) as partner_id,
    coalesce(source.legal_entity_id, accounting_keys.legal_entity_id, settlement_objects.legal_entity_id) as legal_entity_id,
    coalesce(source.contract_id, accounting_keys.contract_id, settlement_objects.contract_id) as contract_id,
    source.settlement_object_id,
    coalesce(source.document_id, settlement_objects.object_id) as document_id,
    coalesce(source.document_type, settlement_objects.object_type) as document_type,
    source.order_id,
    source.order_type,
    source.settlement_kind,
    source.currency_id,
    source.balance,
    source.to_pay,
    source.to_ship,
    source.deleted_at,
    source.deleted_at is not null as is_deleted,
    source.loaded_at,
    source.load_id
from source
left join accounting_keys
    on source.instance = accounting_keys.instance and source.accounting_key_id = accounting_keys.record_id
left join settlement_objects
    on source.instance = settlement_objects.instance and source.settlement_object_id = settlement_objects.record_id
left join legal_entities
    on
        source.instance = legal_entities.instance
        and source.legal_entity_id = legal_entities.record_id
