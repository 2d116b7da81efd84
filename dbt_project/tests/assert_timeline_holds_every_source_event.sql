-- Counted from staging, past all joins: no event is lost, none appears twice.
with told as (
    select
        event_kind,
        source,
        count(*) as events
    from {{ ref('client_timeline') }}
    group by event_kind, source
),

landed as (
    select
        'order' as event_kind,
        instance as source,
        count(*) as events
    from {{ ref('stg_onec__order') }}
    group by instance
    union all
    select
        'shipment' as event_kind,
        instance as source,
        count(*) as events
    from {{ ref('stg_onec__shipment') }}
    group by instance
    union all
    select
        'shipment_correction' as event_kind,
        instance as source,
        count(*) as events
    from {{ ref('stg_onec__shipment_correction') }}
    group by instance
    union all
    select
        'return' as event_kind,
        instance as source,
        count(*) as events
    from {{ ref('stg_onec__return') }}
    group by instance
    union all
    select
        'payment' as event_kind,
        instance as source,
        count(*) as events
    from {{ ref('stg_onec__payment') }}
    group by instance
    union all
    select
        coalesce(nullif(kind, ''), 'activity') as event_kind,
        instance as source,
        count(*) as events
    from {{ ref('stg_crm__activity') }}
    group by coalesce(nullif(kind, ''), 'activity'), instance
    union all
    select
        'task' as event_kind,
        instance as source,
        count(*) as events
    from {{ ref('stg_crm__task') }}
    group by instance
    union all
    select
        entity_kind || '_stage' as event_kind,
        instance as source,
        count(*) as events
    from {{ ref('stg_crm__stage_history') }}
    group by entity_kind, instance
)

select
    coalesce(told.event_kind, landed.event_kind) as event_kind,
    coalesce(told.source, landed.source) as source,
    told.events as events_told,
    landed.events as events_landed
from told
full outer join landed on told.event_kind = landed.event_kind and told.source = landed.source
where told.events is distinct from landed.events
