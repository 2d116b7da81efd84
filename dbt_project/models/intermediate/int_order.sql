-- Orders that exist (not deleted, not marked for deletion), drafts included, with their outlet and day in the base's zone.
with orders as (
    select * from {{ ref('stg_onec__order') }}
    where not is_deleted and not deletion_mark
),

source_instances as (
    select * from {{ ref('stg_ops__source_instance') }}
),

outlets as (
    select * from {{ ref('int_outlet') }}
),

placed as (
    select
        orders.*,
        cast(orders.dated_at at time zone source_instances.time_zone as date) as ordered_on,
        {{ outlet_id('orders', 'source_instances.outlet_lives_in') }} as outlet_id,
        case when source_instances.branches = 'by_organization' then orders.organisation_id else 'all' end as branch_id
    from orders
    inner join source_instances on orders.instance = source_instances.instance
)

select
    placed.instance,
    placed.order_id,
    placed.number as order_number,
    placed.dated_at as ordered_at,
    placed.ordered_on,
    placed.outlet_id,
    outlets.client_id,
    placed.branch_id,
    placed.organisation_id,
    placed.legal_entity_id,
    placed.agreement_id,
    placed.manager_id,
    placed.status as source_status,
    not placed.posted as is_draft,
    coalesce(placed.status, '') <> all({{ text_list('closed_order_statuses') }}) as is_open,
    placed.requested_on,
    placed.load_id,
    placed.row_hash
from placed
left join outlets on placed.instance = outlets.instance and placed.outlet_id = outlets.outlet_id
