{{ config(indexes=[{'columns': ['instance', 'branch_id'], 'unique': true}]) }}

-- How fresh and how trustworthy each branch of each source is, for the foot of every report.
with source_instances as (
    select * from {{ ref('stg_ops__source_instance') }}
),

organisations as (
    select * from {{ ref('stg_onec__organisation') }}
    where not is_deleted
),

coverage as (
    select
        instance,
        min(covered_until) as covered_until,
        min(last_success_at) as last_success_at,
        count(*) as entities_covered
    from {{ ref('stg_ops__coverage') }}
    group by instance
),

last_loads as (
    select distinct on (instance, entity)
        instance,
        entity,
        status,
        rows_rejected
    from {{ ref('stg_ops__load_run') }}
    where status <> 'running'
    order by instance, entity, load_id desc
),

loads as (
    select
        instance,
        count(*) filter (where status = 'failed') as failed_entities,
        sum(rows_rejected) as rejected_records
    from last_loads
    group by instance
),

known_entities as (
    select
        instance,
        count(*) filter (where is_known) as entities_known,
        string_agg(entity, ', ' order by entity) filter (where is_unpublished) as unpublished_entities
    from {{ ref('int_known_entity') }}
    group by instance
),

verdicts as (
    select distinct on (instance, branch_id)
        instance,
        branch_id,
        as_of,
        checked_at,
        verdict,
        reason_ru,
        reason_en
    from {{ ref('stg_ops__gate_verdict') }}
    order by instance, branch_id, checked_at desc, verdict_id desc
),

orders as (
    select
        instance,
        branch_id,
        max(ordered_on) as newest_order_on,
        count(*) filter (where ordered_on > {{ as_of() }} - {{ var('rolling_window_days') }}) as recent_orders
    from {{ ref('int_order') }}
    where not is_draft and ordered_on <= {{ as_of() }}
    group by instance, branch_id
),

shipments as (
    select
        instance,
        branch_id,
        max(shipped_on) as newest_shipment_on
    from {{ ref('int_shipment') }}
    where shipped_on <= {{ as_of() }}
    group by instance, branch_id
),

branches as (
    select
        source_instances.instance,
        source_instances.kind,
        organisations.organisation_id as branch_id,
        organisations.name as branch_name
    from source_instances
    inner join organisations on source_instances.instance = organisations.instance
    where source_instances.branches = 'by_organization'
    union all
    select
        instance,
        kind,
        'all' as branch_id,
        cast(null as text) as branch_name
    from source_instances
    where branches <> 'by_organization'
)

select
    branches.instance,
    branches.kind as source_kind,
    branches.branch_id,
    branches.branch_name,
    {{ as_of() }} as as_of,
    coverage.covered_until,
    coverage.last_success_at,
    coalesce(coverage.entities_covered, 0) as entities_covered,
    coalesce(known_entities.entities_known, 0) as entities_known,
    known_entities.unpublished_entities,
    coalesce(loads.failed_entities, 0) as failed_entities,
    cast(coalesce(loads.rejected_records, 0) as bigint) as rejected_records,
    orders.newest_order_on,
    coalesce(orders.recent_orders, 0) as recent_orders,
    shipments.newest_shipment_on,
    verdicts.verdict as last_verdict,
    verdicts.as_of as last_verdict_for,
    verdicts.checked_at as last_verdict_at,
    verdicts.reason_ru as last_reason_ru,
    verdicts.reason_en as last_reason_en
from branches
left join coverage on branches.instance = coverage.instance
left join loads on branches.instance = loads.instance
left join known_entities on branches.instance = known_entities.instance
left join orders on branches.instance = orders.instance and branches.branch_id = orders.branch_id
left join shipments on branches.instance = shipments.instance and branches.branch_id = shipments.branch_id
left join verdicts on branches.instance = verdicts.instance and branches.branch_id = verdicts.branch_id
