-- Posted shipments with their outlet and day in the base's zone.
with shipments as (
    select * from {{ ref('stg_onec__shipment') }}
    where not is_deleted and not deletion_mark and posted
),

source_instances as (
    select * from {{ ref('stg_ops__source_instance') }}
),

outlets as (
    select * from {{ ref('int_outlet') }}
),

placed as (
    select
        shipments.*,
        cast(shipments.dated_at at time zone source_instances.time_zone as date) as shipped_on,
        {{ outlet_id('shipments', 'source_instances.outlet_lives_in') }} as outlet_id,
        case when source_instances.branches = 'by_organization' then shipments.organisation_id else 'all' end as branch_id
    from shipments
    inner join source_instances on shipments.instance = source_instances.instance
)

select
    placed.instance,
    placed.shipment_id,
    placed.number as shipment_number,
    placed.dated_at as shipped_at,
    placed.shipped_on,
    placed.outlet_id,
    outlets.client_id,
    placed.branch_id,
    placed.organisation_id,
    placed.legal_entity_id,
    placed.agreement_id,
    placed.manager_id,
    placed.order_id,
    placed.load_id,
    placed.row_hash
from placed
left join outlets on placed.instance = outlets.instance and placed.outlet_id = outlets.outlet_id
