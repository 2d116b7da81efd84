-- Money that a legal entity owes past its due date: one row for the entity, however many outlets it has. Prepayments that
-- nobody has matched yet are taken off first, the newest debts (not due yet) before the old ones: nobody is asked for more
-- than he owes. A closed outlet's debt stays a debt.
with debts as (
    select
        instance,
        legal_entity_id,
        organisation_id,
        contract_id,
        partner_id,
        document_id,
        arisen_on,
        due_on,
        debt
    from {{ ref('stg_onec__settlement_term') }}
    where not is_deleted and legal_entity_id is not null and debt > 0
),

prepaid as (
    select
        instance,
        legal_entity_id,
        sum(prepayment) as prepayment
    from {{ ref('stg_onec__settlement_term') }}
    where not is_deleted and legal_entity_id is not null and prepayment > 0
    group by instance, legal_entity_id
),

legal_entities as (
    select * from {{ ref('stg_onec__legal_entity') }}
),

contracts as (
    select * from {{ ref('stg_onec__contract') }}
),

shipments as (
    select * from {{ ref('stg_onec__shipment') }}
),

source_instances as (
    select * from {{ ref('stg_ops__source_instance') }}
),

outlets_of_client as (
    select
        instance,
        client_id,
        client_name,
        manager_id,
        outlets_total
    from {{ ref('int_client') }}
),

-- The legal entity of a chain belongs to the chain itself, which is no outlet.
client_of_partner as (
    select
        partners.instance,
        partners.partner_id,
        min(partners.client_id) as client_id
    from (
        select
            instance,
            partner_id,
            client_id
        from {{ ref('int_outlet') }}
        union all
        select
            instance,
            client_id as partner_id,
            client_id
        from outlets_of_client
    ) as partners
    group by partners.instance, partners.partner_id
),

-- What is left of each debt when unmatched prepayments pay the newest ones.
netted as (
    select
        debts.*,
        greatest(
            least(
                debts.debt,
                sum(debts.debt) over (
                    partition by debts.instance, debts.legal_entity_id
                    order by debts.due_on desc, debts.document_id desc nulls last, debts.contract_id desc nulls last
                    rows between unbounded preceding and current row
                ) - coalesce(prepaid.prepayment, 0)
            ),
            0
        ) as overdue
    from debts
    left join prepaid on debts.instance = prepaid.instance and debts.legal_entity_id = prepaid.legal_entity_id
),

open_items as (
    select
        netted.*,
        coalesce(contracts.forbids_overdue, false) as forbids_overdue,
        coalesce(legal_entities.partner_id, contracts.partner_id, netted.partner_id) as owner_partner_id,
        shipments.number as document_number
    from netted
    left join legal_entities
        on netted.instance = legal_entities.instance and netted.legal_entity_id = legal_entities.legal_entity_id
    left join contracts on netted.instance = contracts.instance and netted.contract_id = contracts.contract_id
    left join shipments on netted.instance = shipments.instance and netted.document_id = shipments.shipment_id
    where netted.overdue > 0 and netted.due_on < {{ as_of() }}
),

by_term as (
    select
        instance,
        legal_entity_id,
        due_on,
        sum(overdue) as overdue,
        min(arisen_on) as arisen_on,
        min(document_number) as document_number,
        count(*) as documents_total
    from open_items
    group by instance, legal_entity_id, due_on
),

terms as (
    select
        instance,
        legal_entity_id,
        jsonb_agg(
            jsonb_build_object(
                'due_on', due_on,
                'days', {{ as_of() }} - due_on,
                'amount', overdue,
                'arisen_on', arisen_on,
                'document_number', document_number,
                'documents_total', documents_total
            )
            order by due_on desc
        ) as terms
    from by_term
    group by instance, legal_entity_id
),

entities as (
    select
        open_items.instance,
        open_items.legal_entity_id,
        min(client_of_partner.client_id) as client_id,
        sum(open_items.overdue) as overdue,
        min(open_items.due_on) as oldest_due_on,
        bool_or(open_items.forbids_overdue) as forbids_overdue,
        (array_agg(open_items.organisation_id order by open_items.overdue desc, open_items.organisation_id))[1] as organisation_id
    from open_items
    inner join client_of_partner
        on
            open_items.instance = client_of_partner.instance
            and open_items.owner_partner_id = client_of_partner.partner_id
    group by open_items.instance, open_items.legal_entity_id
),

judged as (
    select
        *,
        {{ as_of() }} - oldest_due_on as oldest_days,
        case when forbids_overdue then oldest_due_on + {{ var('stop_shipment_overdue_days') }} end as stops_on
    from entities
    where overdue >= {{ var('overdue_min_amount') }} and {{ as_of() }} - oldest_due_on >= {{ var('overdue_min_days') }}
)

select
    {{ as_of() }} as as_of,
    judged.instance,
    judged.client_id,
    cast(null as text) as outlet_id,
    judged.legal_entity_id as subject_id,
    'overdue_debt' as reason,
    {{ var('follow_up_rule_versions')['overdue_debt'] }} as rule_version,
    'terms' as baseline,
    case when source_instances.branches = 'by_organization' then judged.organisation_id else 'all' end as branch_id,
    outlets_of_client.manager_id,
    judged.oldest_due_on as episode_on,
    judged.oldest_due_on as due_on,
    cast(judged.overdue as numeric(18, 2)) as money_at_risk,
    cast(
        case
            when judged.stops_on <= {{ as_of() }} + {{ var('stop_shipment_soon_days') }} then {{ var('urgency_of_a_stop') }}
            else 1
        end as numeric(4, 2)
    ) as urgency,
    coalesce(judged.stops_on <= {{ as_of() }} + {{ var('stop_shipment_soon_days') }}, false) as is_blocking,
    'ok' as confidence,
    jsonb_build_object(
        'legal_entity_id', judged.legal_entity_id,
        'legal_entity_name', legal_entities.name,
        'inn', legal_entities.inn,
        'outlets_total', outlets_of_client.outlets_total,
        'overdue', judged.overdue,
        'oldest_days', judged.oldest_days,
        'stops_on', judged.stops_on,
        'terms', terms.terms
    ) as evidence
from judged
inner join source_instances on judged.instance = source_instances.instance
inner join terms on judged.instance = terms.instance and judged.legal_entity_id = terms.legal_entity_id
left join outlets_of_client on judged.instance = outlets_of_client.instance and judged.client_id = outlets_of_client.client_id
left join legal_entities
    on judged.instance = legal_entities.instance and judged.legal_entity_id = legal_entities.legal_entity_id
