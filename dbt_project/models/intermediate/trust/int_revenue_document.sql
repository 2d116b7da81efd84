-- What each document adds to revenue, as the facts have it: shipped, less taken back, corrected.
with shipments as (
    select
        instance,
        shipment_id as document_id,
        'shipment' as document_kind,
        max(shipment_number) as document_number,
        max(shipped_on) as accounted_on,
        max(organisation_id) as organisation_id,
        max(branch_id) as branch_id,
        sum(signed_amount) as amount
    from {{ ref('fct_shipment_line') }}
    group by instance, shipment_id
),

returns as (
    select
        instance,
        return_id as document_id,
        'return' as document_kind,
        max(return_number) as document_number,
        max(returned_on) as accounted_on,
        max(organisation_id) as organisation_id,
        max(branch_id) as branch_id,
        sum(signed_amount) as amount
    from {{ ref('fct_return_line') }}
    group by instance, return_id
),

corrections as (
    select
        headers.instance,
        headers.correction_id as document_id,
        'shipment_correction' as document_kind,
        max(headers.number) as document_number,
        max(cast(headers.dated_at at time zone source_instances.time_zone as date)) as accounted_on,
        max(headers.organisation_id) as organisation_id,
        max(
            case when source_instances.branches = 'by_organization' then headers.organisation_id else 'all' end
        ) as branch_id,
        sum(lines.amount_with_vat_change) as amount
    from {{ ref('stg_onec__shipment_correction') }} as headers
    inner join {{ ref('stg_ops__source_instance') }} as source_instances on headers.instance = source_instances.instance
    inner join {{ ref('stg_onec__shipment_correction_line') }} as lines
        on headers.instance = lines.instance and headers.correction_id = lines.correction_id
    where not headers.is_deleted and not headers.deletion_mark and headers.posted
    group by headers.instance, headers.correction_id
)

select * from shipments
union all
select * from returns
union all
select * from corrections
