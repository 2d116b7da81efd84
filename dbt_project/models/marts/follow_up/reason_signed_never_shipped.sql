-- A contract was signed weeks ago and the client has not ordered once.
with contracts as (
    select
        contracts.instance,
        contracts.partner_id,
        min(coalesce(contracts.signed_on, contracts.valid_from)) as signed_on,
        min(contracts.number) as contract_number,
        min(contracts.organisation_id) as organisation_id
    from {{ ref('stg_onec__contract') }} as contracts
    where
        not contracts.is_deleted and not contracts.deletion_mark and not contracts.inactive
        and contracts.status = any({{ text_list('agreement_statuses_in_force') }})
        and contracts.partner_id is not null
    group by contracts.instance, contracts.partner_id
),

expectations as (
    select * from {{ ref('order_expectation') }}
    where as_of = {{ as_of() }}
),

-- Clients all of whose outlets are open and have never ordered.
silent as (
    select
        instance,
        client_id
    from expectations
    group by instance, client_id
    having bool_and(status = 'no_orders')
),

segments as (
    select
        outlets.instance,
        outlets.outlet_format,
        percentile_disc(0.5) within group (order by expectations.median_amount) as median_amount
    from expectations
    inner join {{ ref('int_outlet') }} as outlets
        on expectations.instance = outlets.instance and expectations.outlet_id = outlets.outlet_id
    where expectations.median_amount > 0
    group by outlets.instance, outlets.outlet_format
),

outlets as (
    select distinct on (instance, client_id) *
    from {{ ref('int_outlet') }}
    order by instance, client_id, outlet_id
),

clients as (
    select * from {{ ref('int_client') }}
),

source_instances as (
    select * from {{ ref('stg_ops__source_instance') }}
)

select
    {{ as_of() }} as as_of,
    silent.instance,
    silent.client_id,
    cast(null as text) as outlet_id,
    silent.client_id as subject_id,
    'signed_never_shipped' as reason,
    {{ var('follow_up_rule_versions')['signed_never_shipped'] }} as rule_version,
    'segment' as baseline,
    case when source_instances.branches = 'by_organization' then contracts.organisation_id else 'all' end as branch_id,
    clients.manager_id,
    contracts.signed_on as episode_on,
    contracts.signed_on + {{ var('signed_unshipped_days') }} as due_on,
    cast(coalesce(segments.median_amount, 0) as numeric(18, 2)) as money_at_risk,
    cast(1 as numeric(4, 2)) as urgency,
    false as is_blocking,
    'little_history' as confidence,
    jsonb_build_object(
        'name', outlets.outlet_name,
        'format', outlets.outlet_format_name,
        'address', outlets.address,
        'signed_on', contracts.signed_on,
        'contract_number', contracts.contract_number,
        'days_since_signed', {{ as_of() }} - contracts.signed_on,
        'usual_amount', segments.median_amount
    ) as evidence
from silent
inner join contracts on silent.instance = contracts.instance and silent.client_id = contracts.partner_id
inner join clients on silent.instance = clients.instance and silent.client_id = clients.client_id
inner join outlets on silent.instance = outlets.instance and silent.client_id = outlets.client_id
inner join source_instances on silent.instance = source_instances.instance
left join segments on outlets.instance = segments.instance and outlets.outlet_format = segments.outlet_format
where
    contracts.signed_on + {{ var('signed_unshipped_days') }} <= {{ as_of() }}
    and contracts.signed_on > {{ as_of() }} - {{ var('lost_days') }}
