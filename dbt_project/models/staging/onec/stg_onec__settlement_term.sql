-- The client is named by an analytics key or by the settlement object.
with source as (
    select * from {{ source('onec', 'onec_settlement_term') }}
),

accounting_keys as (
    select * from {{ source('onec', 'onec_partner_accounting_key') }}
),

settlement_objects as (
    select * from {{ source('onec', 'onec_settlement_object') }}
)

select
    source.instance,
    source.record_id as row_id,
    source.accounting_key_id,
    coalesce(accounting_keys.organisation_id, settlement_objects.organisation_id) as organisation_id,
    coalesce(accounting_keys.partner_id, settlement_objects.partner_id) as partner_id,
    coalesce(accounting_keys.legal_entity_id, settlement_objects.legal_entity_id) as legal_entity_id,
    coalesce(accounting_keys.contract_id, settlement_objects.contract_id) as contract_id,
    source.settlement_object_id,
    coalesce(source.document_id, settlement_objects.object_id) as document_id,
    coalesce(source.document_type, settlement_objects.object_type) as document_type,
    source.arisen_on,
    source.due_on,
    source.currency_id,
    source.debt,
    source.prepayment,
    source.deleted_at,
    source.deleted_at is not null as is_deleted,
    source.loaded_at,
    source.load_id
from source
left join accounting_keys
    on source.instance = accounting_keys.instance and source.accounting_key_id = accounting_keys.record_id
left join settlement_objects
    on source.instance = settlement_objects.instance and source.settlement_object_id = settlement_objects.record_id
