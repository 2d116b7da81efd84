{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook='{{ open_changed_receivables() }}',
        post_hook=['{{ settle_changed_receivables() }}', '{{ analyze_this() }}'],
        indexes=[
            {'columns': ['moved_on', 'instance']},
            {'columns': ['instance', 'shipment_id']},
            {'columns': ['settled_on']},
            {'columns': ['instance', 'contract_id']},
        ]
    )
}}

-- depends_on: {{ ref('int_receivable_day_changed') }}
-- Everything that changes what a legal entity owes under a contract, document by document: + it owes more, - it owes less.
-- The sums are those of the documents' heads, VAT included. A payment line names what it pays for, or nothing. Days that nothing
-- happened to stay as they are. A shipment that what names it has paid to the kopeck bears the day on which that was so: from
-- then on nobody needs to look at it.
with source_instances as (
    select * from {{ ref('stg_ops__source_instance') }}
),

contracts as (
    select * from {{ ref('stg_onec__contract') }}
),

settlement_objects as (
    select * from {{ ref('stg_onec__settlement_object') }}
),

documents as (
    select
        documents.instance,
        documents.shipment_id as document_id,
        'shipped' as movement_kind,
        documents.number as document_number,
        documents.dated_at,
        documents.legal_entity_id,
        documents.contract_id,
        documents.settlement_object_id,
        documents.shipment_id,
        documents.order_id,
        coalesce(documents.settlement_amount, documents.amount) as amount
    from {{ ref('stg_onec__shipment') }} as documents
    inner join source_instances on documents.instance = source_instances.instance
    where
        not documents.is_deleted and not documents.deletion_mark and documents.posted
        and {{ of_changed_receivable_days() }}
    union all
    select
        documents.instance,
        documents.return_id as document_id,
        'returned' as movement_kind,
        documents.number as document_number,
        documents.dated_at,
        documents.legal_entity_id,
        documents.contract_id,
        documents.settlement_object_id,
        documents.shipment_id,
        cast(null as text) as order_id,
        -1 * documents.amount as amount
    from {{ ref('stg_onec__return') }} as documents
    inner join source_instances on documents.instance = source_instances.instance
    where
        not documents.is_deleted and not documents.deletion_mark and documents.posted
        and {{ of_changed_receivable_days() }}
    union all
    select
        documents.instance,
        documents.correction_id as document_id,
        'corrected' as movement_kind,
        documents.number as document_number,
        documents.dated_at,
        documents.legal_entity_id,
        documents.contract_id,
        documents.settlement_object_id,
        documents.shipment_id,
        cast(null as text) as order_id,
        documents.amount
    from {{ ref('stg_onec__shipment_correction') }} as documents
    inner join source_instances on documents.instance = source_instances.instance
    where
        not documents.is_deleted and not documents.deletion_mark and documents.posted
        and {{ of_changed_receivable_days() }}
    union all
    select
        documents.instance,
        documents.debt_adjustment_id as document_id,
        'adjusted' as movement_kind,
        documents.number as document_number,
        documents.dated_at,
        documents.legal_entity_id,
        cast(null as text) as contract_id,
        cast(null as text) as settlement_object_id,
        cast(null as text) as shipment_id,
        cast(null as text) as order_id,
        -1 * lines.amount as amount
    from {{ ref('stg_onec__debt_adjustment') }} as documents
    inner join source_instances on documents.instance = source_instances.instance
    inner join {{ ref('stg_onec__debt_adjustment_line') }} as lines
        on documents.instance = lines.instance and documents.debt_adjustment_id = lines.debt_adjustment_id
    where
        not documents.is_deleted and not documents.deletion_mark and documents.posted
        and {{ of_changed_receivable_days() }}
),

payments as (
    select documents.*
    from {{ ref('stg_onec__payment') }} as documents
    inner join source_instances on documents.instance = source_instances.instance
    where
        not documents.is_deleted and not documents.deletion_mark and documents.posted
        and {{ of_changed_receivable_days() }}
),

-- A receipt without lines is paid for nothing in particular.
paid as (
    select
        payments.instance,
        payments.payment_id as document_id,
        'paid' as movement_kind,
        payments.number as document_number,
        payments.dated_at,
        payments.legal_entity_id,
        coalesce(lines.contract_id, payments.contract_id) as contract_id,
        coalesce(lines.settlement_object_id, payments.settlement_object_id) as settlement_object_id,
        case when lines.basis_type is not null and ({{ is_shipment('lines.basis_type') }}) then lines.basis_id end as shipment_id,
        coalesce(
            case when lines.basis_type is not null and ({{ is_order('lines.basis_type') }}) then lines.basis_id end, lines.order_id
        ) as order_id,
        -1 * coalesce(lines.settlement_amount, lines.amount, payments.amount) as amount
    from payments
    left join {{ ref('stg_onec__payment_allocation') }} as lines
        on payments.instance = lines.instance and payments.payment_id = lines.payment_id
),

movements as (
    select * from documents
    union all
    select * from paid
),

placed as (
    select
        movements.instance,
        movements.movement_kind,
        movements.document_id,
        movements.document_number,
        cast(movements.dated_at at time zone source_instances.time_zone as date) as moved_on,
        coalesce(movements.contract_id, settlement_objects.contract_id, 'unknown') as contract_id,
        coalesce(movements.legal_entity_id, contracts.legal_entity_id, settlement_objects.legal_entity_id, 'unknown') as legal_entity_id,
        movements.shipment_id,
        movements.order_id,
        movements.amount
    from movements
    inner join source_instances on movements.instance = source_instances.instance
    left join settlement_objects
        on
            movements.instance = settlement_objects.instance
            and movements.settlement_object_id = settlement_objects.settlement_object_id
    left join contracts
        on
            movements.instance = contracts.instance
            and coalesce(movements.contract_id, settlement_objects.contract_id) = contracts.contract_id
    where movements.amount <> 0
)

select
    *,
    {% if writes_changed_receivables() -%}
    -- To be judged when all that names the shipment is here.
    case when shipment_id is not null then cast('-infinity' as date) end as settled_on
    {%- else -%}
    case
        when
            shipment_id is not null
            and bool_or(movement_kind = 'shipped') over same_shipment
            and sum(amount) over same_shipment = 0
            then max(moved_on) over same_shipment
    end as settled_on
    {%- endif %}
from placed
{% if not writes_changed_receivables() -%}
window same_shipment as (partition by instance, legal_entity_id, contract_id, shipment_id)
{%- endif %}
