{{ config(materialized='view') }}

-- Everything that happened with a client, in 1C and in the CRM: one row per source event, whoever it was with. Documents
-- that were deleted or not posted stay as such.
with source_instances as (
    select * from {{ ref('stg_ops__source_instance') }}
),

outlets as (
    select * from {{ ref('int_outlet') }}
),

clients as (
    select * from {{ ref('int_client') }}
),

crm_events as (
    select * from {{ ref('int_crm_event') }}
),

who as (
    select * from {{ ref('int_crm_client') }}
),

documents as (
    select
        'order' as event_kind,
        instance,
        order_id as record_id,
        dated_at as event_at,
        partner_id,
        delivery_address,
        manager_id,
        number as title,
        amount,
        is_deleted or deletion_mark as is_void
    from {{ ref('stg_onec__order') }}
    union all
    select
        'shipment' as event_kind,
        instance,
        shipment_id as record_id,
        dated_at as event_at,
        partner_id,
        delivery_address,
        manager_id,
        number as title,
        amount,
        is_deleted or deletion_mark or not posted as is_void
    from {{ ref('stg_onec__shipment') }}
    union all
    select
        'shipment_correction' as event_kind,
        instance,
        correction_id as record_id,
        dated_at as event_at,
        partner_id,
        cast(null as text) as delivery_address,
        manager_id,
        number as title,
        amount,
        is_deleted or deletion_mark or not posted as is_void
    from {{ ref('stg_onec__shipment_correction') }}
    union all
    select
        'return' as event_kind,
        instance,
        return_id as record_id,
        dated_at as event_at,
        partner_id,
        delivery_address,
        manager_id,
        number as title,
        amount,
        is_deleted or deletion_mark or not posted as is_void
    from {{ ref('stg_onec__return') }}
    union all
    select
        'payment' as event_kind,
        instance,
        payment_channel || ':' || payment_id as record_id,
        dated_at as event_at,
        partner_id,
        cast(null as text) as delivery_address,
        cast(null as text) as manager_id,
        number as title,
        amount,
        is_deleted or deletion_mark or not posted as is_void
    from {{ ref('stg_onec__payment') }}
),

placed as (
    select
        documents.*,
        source_instances.time_zone,
        {{ outlet_id('documents', 'source_instances.outlet_lives_in') }} as outlet_id
    from documents
    left join source_instances on documents.instance = source_instances.instance
),

of_base as (
    select
        placed.event_kind,
        placed.instance as source,
        placed.record_id,
        placed.event_at,
        placed.time_zone,
        placed.instance,
        coalesce(outlets.client_id, clients.client_id) as client_id,
        outlets.outlet_id,
        cast(null as text) as company_id,
        placed.manager_id,
        cast(null as text) as owner_id,
        placed.title,
        cast(placed.amount as numeric(18, 2)) as amount,
        cast(null as text) as status,
        placed.is_void,
        false as is_repeat
    from placed
    left join outlets on placed.instance = outlets.instance and placed.outlet_id = outlets.outlet_id
    left join clients on placed.instance = clients.instance and placed.partner_id = clients.client_id
),

of_crm as (
    select
        crm_events.event_kind,
        crm_events.instance as source,
        crm_events.record_id,
        crm_events.event_at,
        source_instances.time_zone,
        coalesce(company.instance, person.instance) as instance,
        coalesce(company.client_id, person.client_id) as client_id,
        coalesce(company.outlet_id, person.outlet_id) as outlet_id,
        crm_events.company_id,
        cast(null as text) as manager_id,
        crm_events.owner_id,
        crm_events.title,
        cast(null as numeric(18, 2)) as amount,
        crm_events.status,
        false as is_void,
        crm_events.is_repeat
    from crm_events
    left join source_instances on crm_events.instance = source_instances.instance
    left join who as company
        on
            crm_events.instance = company.crm_instance
            and company.entity_kind = 'company'
            and crm_events.company_id = company.entity_id
    left join who as person
        on
            crm_events.instance = person.crm_instance
            and person.entity_kind = 'contact'
            and crm_events.contact_id = person.entity_id
            and company.entity_id is null
),

events as (
    select * from of_base
    union all
    select * from of_crm
)

select
    event_kind,
    source,
    record_id,
    event_at,
    cast(event_at at time zone coalesce(time_zone, 'UTC') as date) as happened_on,
    instance,
    client_id,
    outlet_id,
    company_id,
    manager_id,
    owner_id,
    title,
    amount,
    status,
    is_void,
    is_repeat
from events
