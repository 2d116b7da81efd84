{{ config(materialized='table', indexes=[{'columns': ['crm_instance', 'entity_kind', 'entity_id']}], post_hook='{{ analyze_this() }}') }}

-- Cards of the CRM that can be somebody: companies, and people whom no company is named for.
with companies as (
    select * from {{ ref('stg_crm__company') }}
),

contacts as (
    select * from {{ ref('stg_crm__contact') }}
),

employed as (
    select
        instance,
        contact_id
    from {{ ref('stg_crm__contact_company') }}
    where company_id is not null
    group by instance, contact_id
),

source_instances as (
    select * from {{ ref('stg_ops__source_instance') }}
),

cards as (
    select
        crm,
        instance as crm_instance,
        'company' as entity_kind,
        company_id as entity_id,
        name as card_name,
        owner_id,
        upper(onec_code) as onec_code,
        inn,
        kpp,
        address,
        created_at
    from companies
    union all
    select
        contacts.crm,
        contacts.instance as crm_instance,
        'contact' as entity_kind,
        contacts.contact_id as entity_id,
        null as card_name,
        contacts.owner_id,
        null as onec_code,
        null as inn,
        null as kpp,
        null as address,
        contacts.created_at
    from contacts
    left join employed on contacts.instance = employed.instance and contacts.contact_id = employed.contact_id
    where contacts.company_id is null and employed.contact_id is null
)

select
    cards.*,
    cast(cards.created_at at time zone coalesce(source_instances.time_zone, 'UTC') as date) as created_on
from cards
left join source_instances on cards.crm_instance = source_instances.instance
