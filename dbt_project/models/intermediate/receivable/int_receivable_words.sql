{{ config(materialized='table', post_hook='{{ analyze_this() }}') }}

-- What movements of receivables are written from, as fingerprints: the documents of each day by kind, which contract and legal
-- entity a contract or a settlement object means, the business date, and the rules themselves.
with documents as (
    {% for kind, model, document_id in [
        ('shipment', 'stg_onec__shipment', 'shipment_id'),
        ('return', 'stg_onec__return', 'return_id'),
        ('correction', 'stg_onec__shipment_correction', 'correction_id'),
        ('adjustment', 'stg_onec__debt_adjustment', 'debt_adjustment_id'),
        ('payment', 'stg_onec__payment', 'payment_id'),
    ] -%}
    select
        '{{ kind }}' as word_kind,
        instance,
        dated_at,
        hashtextextended(concat_ws(':', {{ document_id }}, load_id, row_hash), 0) as fingerprint
    from {{ ref(model) }}
    where not is_deleted and not deletion_mark and posted
    {{ 'union all' if not loop.last }}
    {% endfor %}
)

select
    documents.word_kind,
    documents.instance,
    cast(cast(documents.dated_at at time zone source_instances.time_zone as date) as text) as word_id,
    cast(sum(documents.fingerprint) as text) as fingerprint
from documents
inner join {{ ref('stg_ops__source_instance') }} as source_instances on documents.instance = source_instances.instance
group by
    documents.word_kind, documents.instance, cast(documents.dated_at at time zone source_instances.time_zone as date)
union all
select
    'contract' as word_kind,
    instance,
    contract_id as word_id,
    legal_entity_id as fingerprint
from {{ ref('stg_onec__contract') }}
where legal_entity_id is not null
union all
select
    'settlement_object' as word_kind,
    instance,
    settlement_object_id as word_id,
    concat_ws(':', contract_id, 'of ' || legal_entity_id) as fingerprint
from {{ ref('stg_onec__settlement_object') }}
union all
select
    'as_of' as word_kind,
    instance,
    'as_of' as word_id,
    cast({{ as_of() }} as text) as fingerprint
from {{ ref('stg_ops__source_instance') }}
union all
select
    'rules' as word_kind,
    instance,
    'rules' as word_id,
    '{{ definition_of(["int_receivable_movement", "receivable_rollforward"]) }}' as fingerprint  -- noqa: LT05
from {{ ref('stg_ops__source_instance') }}
