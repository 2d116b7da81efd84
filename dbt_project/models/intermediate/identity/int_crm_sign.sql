{{ config(materialized='table', indexes=[{'columns': ['method', 'key']}], post_hook='{{ analyze_this() }}') }}

-- What a card of the CRM says about who it is. Signs of the people at a company are weaker than the card's own: an
-- accountant may keep the books of several.
with cards as (
    select * from {{ ref('int_crm_card') }}
),

match_keys as (
    select * from {{ ref('stg_ops__match_key') }}
),

requisites as (
    select * from {{ ref('stg_crm__requisite') }}
),

people as (
    select
        instance,
        contact_id,
        company_id
    from {{ ref('stg_crm__contact') }}
    where company_id is not null
    union
    select
        instance,
        contact_id,
        company_id
    from {{ ref('stg_crm__contact_company') }}
    where company_id is not null
),

contact_channels as (
    select * from {{ ref('stg_crm__contact_channel') }}
),

channels as (
    select
        instance,
        'company' as entity_kind,
        company_id as entity_id,
        '' as prefix,
        channel,
        value
    from {{ ref('stg_crm__company_channel') }}
    union all
    select
        instance,
        'contact' as entity_kind,
        contact_id as entity_id,
        '' as prefix,
        channel,
        value
    from contact_channels
    union all
    select
        contact_channels.instance,
        'company' as entity_kind,
        people.company_id as entity_id,
        'contact_' as prefix,
        contact_channels.channel,
        contact_channels.value
    from contact_channels
    inner join people
        on contact_channels.instance = people.instance and contact_channels.contact_id = people.contact_id
),

registered as (
    select
        crm_instance,
        entity_id as company_id,
        inn,
        kpp
    from cards
    where entity_kind = 'company'
    union
    select
        instance as crm_instance,
        company_id,
        regexp_replace(inn, '\D', '', 'g') as inn,
        regexp_replace(kpp, '\D', '', 'g') as kpp
    from requisites
    where coalesce(is_active, true)
),

named as (
    select
        crm_instance,
        entity_id as company_id,
        card_name as name
    from cards
    where entity_kind = 'company'
    union
    select
        instance as crm_instance,
        company_id,
        name
    from requisites
),

signs as (
    select
        crm_instance,
        entity_kind,
        entity_id,
        'onec_code' as method,
        onec_code as key
    from cards
    union
    select
        crm_instance,
        'company' as entity_kind,
        company_id as entity_id,
        'inn' as method,
        inn as key
    from registered
    where {{ is_valid_inn('inn') }}
    union
    select
        crm_instance,
        'company' as entity_kind,
        company_id as entity_id,
        'inn_kpp' as method,
        inn || '/' || kpp as key
    from registered
    where {{ is_valid_inn('inn') }} and kpp <> ''
    union
    select
        channels.instance as crm_instance,
        channels.entity_kind,
        channels.entity_id,
        channels.prefix || 'phone' as method,
        match_keys.key
    from channels
    inner join match_keys on channels.value = match_keys.text and match_keys.kind = 'phone'
    where channels.channel = 'phone'
    union
    select
        instance as crm_instance,
        entity_kind,
        entity_id,
        prefix || 'email' as method,
        lower(btrim(value)) as key
    from channels
    where channel = 'email'
    union
    select
        named.crm_instance,
        'company' as entity_kind,
        named.company_id as entity_id,
        'name' as method,
        match_keys.key
    from named
    inner join match_keys on named.name = match_keys.text and match_keys.kind = 'name'
    union
    select
        crm_instance,
        entity_kind,
        entity_id,
        'address' as method,
        {{ address_key('address') }} as key
    from cards
)

select distinct
    signs.crm_instance,
    signs.entity_kind,
    signs.entity_id,
    signs.method,
    signs.key
from signs
inner join cards
    on
        signs.crm_instance = cards.crm_instance
        and signs.entity_kind = cards.entity_kind
        and signs.entity_id = cards.entity_id
where signs.key <> ''
