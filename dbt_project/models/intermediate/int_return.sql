-- Posted returns with their outlet and day in the base's zone.
with returns as (
    select * from {{ ref('stg_onec__return') }}
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
        returns.*,
        cast(returns.dated_at at time zone source_instances.time_zone as date) as returned_on,
        {{ outlet_id('returns', 'source_instances.outlet_lives_in') }} as outlet_id,
        case when source_instances.branches = 'by_organization' then returns.organisation_id else 'all' end as branch_id
    from returns
    inner join source_instances on returns.instance = source_instances.instance
)

select
    placed.instance,
    placed.return_id,
    placed.number as return_number,
    placed.dated_at as returned_at,
    placed.returned_on,
    placed.outlet_id,
    outlets.client_id,
    placed.branch_id,
    placed.organisation_id,
    placed.legal_entity_id,
    placed.manager_id,
    placed.return_reason,
    placed.load_id,
    placed.row_hash
from placed
left join outlets on placed.instance = outlets.instance and placed.outlet_id = outlets.outlet_id
