{{
    config(
        indexes=[
            {'columns': ['crm_instance', 'entity_kind', 'entity_id', 'instance'], 'unique': true},
            {'columns': ['instance', 'client_id']},
        ]
    )
}}

-- Which card of the CRM is which client of 1C. What is not certain is not here but in client_identity_review.
with cards as (
    select * from {{ ref('int_crm_card') }}
),

linked as (
    select * from {{ ref('int_identity_candidate') }}
    where verdict = 'linked'
),

redirects as (
    select * from {{ ref('stg_crm__redirect') }}
),

source_instances as (
    select * from {{ ref('stg_ops__source_instance') }}
),

contacts as (
    select * from {{ ref('stg_crm__contact') }}
),

workplaces as (
    select distinct on (instance, contact_id)
        instance,
        contact_id,
        company_id
    from {{ ref('stg_crm__contact_company') }}
    where company_id is not null
    order by instance, contact_id, coalesce(is_primary, false) desc, line_no
),

companies_and_loners as (
    select
        cards.crm,
        linked.crm_instance,
        linked.entity_kind,
        linked.entity_id,
        linked.instance,
        linked.client_id,
        linked.outlet_id,
        linked.legal_entity_id,
        linked.former_client_id,
        linked.method,
        linked.methods,
        linked.confidence,
        -- One card speaks for the client: that of the whole client with the most signs, the oldest of equals.
        row_number() over (
            partition by linked.instance, linked.client_id
            order by
                linked.entity_kind asc, linked.outlet_id is not null asc, linked.method = 'manual' desc, linked.weight desc,
                cards.created_at asc, length(linked.entity_id) asc, linked.entity_id asc
        ) = 1 as is_main_card,
        cast(null as text) as lives_on_as,
        coalesce(linked.said_on, cards.created_on) as valid_from,
        cast(null as date) as valid_to
    from linked
    inner join cards
        on
            linked.crm_instance = cards.crm_instance
            and linked.entity_kind = cards.entity_kind
            and linked.entity_id = cards.entity_id
),

-- People are clients with the company they work for.
people as (
    select
        contacts.crm,
        contacts.instance as crm_instance,
        'contact' as entity_kind,
        contacts.contact_id as entity_id,
        companies_and_loners.instance,
        companies_and_loners.client_id,
        companies_and_loners.outlet_id,
        companies_and_loners.legal_entity_id,
        companies_and_loners.former_client_id,
        'contact' as method,
        companies_and_loners.methods,
        companies_and_loners.confidence,
        false as is_main_card,
        cast(null as text) as lives_on_as,
        greatest(
            companies_and_loners.valid_from,
            cast(contacts.created_at at time zone coalesce(source_instances.time_zone, 'UTC') as date)
        ) as valid_from,
        cast(null as date) as valid_to
    from contacts
    left join workplaces on contacts.instance = workplaces.instance and contacts.contact_id = workplaces.contact_id
    inner join companies_and_loners
        on
            contacts.instance = companies_and_loners.crm_instance
            and companies_and_loners.entity_kind = 'company'
            and coalesce(contacts.company_id, workplaces.company_id) = companies_and_loners.entity_id
    left join source_instances on contacts.instance = source_instances.instance
),

alive as (
    select * from companies_and_loners
    union all
    select * from people
),

-- A card that was merged into another is whoever that one is.
merged as (
    select
        alive.crm,
        alive.crm_instance,
        alive.entity_kind,
        redirects.old_id as entity_id,
        alive.instance,
        alive.client_id,
        alive.outlet_id,
        alive.legal_entity_id,
        alive.former_client_id,
        'merged' as method,
        alive.methods,
        alive.confidence,
        false as is_main_card,
        redirects.new_id as lives_on_as,
        alive.valid_from,
        cast(redirects.seen_at at time zone coalesce(source_instances.time_zone, 'UTC') as date) as valid_to
    from redirects
    inner join alive
        on
            redirects.instance = alive.crm_instance
            and redirects.entity_kind = alive.entity_kind
            and redirects.new_id = alive.entity_id
            and redirects.old_id <> redirects.new_id
    left join alive as still_there
        on
            redirects.instance = still_there.crm_instance
            and redirects.entity_kind = still_there.entity_kind
            and redirects.old_id = still_there.entity_id
    left join source_instances on redirects.instance = source_instances.instance
    where still_there.entity_id is null
),

everybody as (
    select * from alive
    union all
    select * from merged
)

select
    crm,
    crm_instance,
    entity_kind,
    entity_id,
    instance,
    client_id,
    outlet_id,
    legal_entity_id,
    method,
    methods,
    cast(confidence as numeric(5, 4)) as confidence,
    is_main_card,
    lives_on_as,
    former_client_id,
    valid_from,
    valid_to
from everybody
