{{ config(materialized='table', post_hook='{{ analyze_this() }}') }}

-- Everything that changes what a legal entity owes under a contract, document by document: + it owes more, - it owes less.
-- The sums are those of the documents' heads, VAT included. A payment line names what it pays for, or nothing.
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
        instance,
        shipment_id as document_id,
        'shipped' as movement_kind,
        number as document_number,
        dated_at,
        legal_entity_id,
        contract_id,
        settlement_object_id,
        shipment_id,
        order_id,
        coalesce(settlement_amount, amount) as amount
    from {{ ref('stg_onec__shipment') }}
    where not is_deleted and not deletion_mark and posted
    union all
    select
        instance,
        return_id as document_id,
        'returned' as movement_kind,
        number as document_number,
        dated_at,
        legal_entity_id,
        contract_id,
        settlement_object_id,
        shipment_id,
        cast(null as text) as order_id,
        -1 * amount as amount
    from {{ ref('stg_onec__return') }}
    where not is_deleted and not deletion_mark and posted
    union all
    select
        instance,
        correction_id as document_id,
        'corrected' as movement_kind,
        number as document_number,
        dated_at,
        legal_entity_id,
        contract_id,
        settlement_object_id,
        shipment_id,
        cast(null as text) as order_id,
        amount
    from {{ ref('stg_onec__shipment_correction') }}
    where not is_deleted and not deletion_mark and posted
    union all
    select
        instance,
        document_id,
        'adjusted' as movement_kind,
        document_number,
        adjusted_at as dated_at,
        legal_entity_id,
        cast(null as text) as contract_id,
        cast(null as text) as settlement_object_id,
        cast(null as text) as shipment_id,
        cast(null as text) as order_id,
        signed_amount as amount
    from (
        select
            adjustments.instance,
            adjustments.debt_adjustment_id as document_id,
            adjustments.number as document_number,
            adjustments.dated_at as adjusted_at,
            adjustments.legal_entity_id,
            -1 * lines.amount as signed_amount
        from {{ ref('stg_onec__debt_adjustment') }} as adjustments
        inner join {{ ref('stg_onec__debt_adjustment_line') }} as lines
            on
                adjustments.instance = lines.instance
                and adjustments.debt_adjustment_id = lines.debt_adjustment_id
        where not adjustments.is_deleted and not adjustments.deletion_mark and adjustments.posted
    ) as adjusted
),

payments as (
    select * from {{ ref('stg_onec__payment') }}
    where not is_deleted and not deletion_mark and posted
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
)

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
