{{ config(materialized='table', indexes=[{'columns': ['method', 'key']}], post_hook='{{ analyze_this() }}') }}

-- What tells a client of 1C: codes, tax numbers, phones, letters, names and addresses, with the client and the outlet they
-- belong to. A client that was registered anew answers for the former one.
with outlets as (
    select * from {{ ref('int_outlet') }}
),

partners as (
    select * from {{ ref('stg_onec__partner') }}
    where not is_deleted and not deletion_mark
),

legal_entities as (
    select * from {{ ref('stg_onec__legal_entity') }}
    where not is_deleted and not deletion_mark
),

partner_contacts as (
    select * from {{ ref('stg_onec__partner_contact') }}
),

legal_contacts as (
    select * from {{ ref('stg_onec__legal_entity_contact') }}
),

match_keys as (
    select * from {{ ref('stg_ops__match_key') }}
),

placed as (
    select
        instance,
        partner_id,
        min(client_id) as client_id
    from outlets
    group by instance, partner_id
    union
    select
        instance,
        client_id as partner_id,
        client_id
    from {{ ref('int_client') }}
),

known as (
    select
        partners.instance,
        partners.partner_id,
        partners.code,
        partners.name,
        partners.full_name,
        coalesce(successors.successor_id, placed.client_id) as client_id,
        case when successors.successor_id is not null then placed.client_id end as former_client_id,
        -- A partner that is the client itself is not one outlet of it.
        case when partners.partner_id <> placed.client_id and successors.successor_id is null then partners.partner_id end
            as outlet_id
    from placed
    inner join partners on placed.instance = partners.instance and placed.partner_id = partners.partner_id
    left join {{ ref('int_client_successor') }} as successors
        on placed.instance = successors.instance and placed.client_id = successors.client_id
),

contacts as (
    select
        instance,
        partner_id,
        contact_kind,
        value,
        email,
        phone
    from partner_contacts
    union all
    select
        legal_entities.instance,
        legal_entities.partner_id,
        legal_contacts.contact_kind,
        legal_contacts.value,
        legal_contacts.email,
        legal_contacts.phone
    from legal_contacts
    inner join legal_entities
        on
            legal_contacts.instance = legal_entities.instance
            and legal_contacts.legal_entity_id = legal_entities.legal_entity_id
),

signs as (
    select
        instance,
        partner_id,
        cast(null as text) as legal_entity_id,
        'onec_code' as method,
        upper(btrim(code)) as key
    from known
    union
    select
        instance,
        partner_id,
        legal_entity_id,
        'inn' as method,
        inn as key
    from legal_entities
    where {{ is_valid_inn('inn') }}
    union
    select
        instance,
        partner_id,
        legal_entity_id,
        'inn_kpp' as method,
        inn || '/' || kpp as key
    from legal_entities
    where {{ is_valid_inn('inn') }} and kpp <> ''
    union
    select
        contacts.instance,
        contacts.partner_id,
        cast(null as text) as legal_entity_id,
        'phone' as method,
        match_keys.key
    from contacts
    cross join lateral (values (contacts.value), (contacts.phone)) as written (text)
    inner join match_keys on written.text = match_keys.text and match_keys.kind = 'phone'
    where contacts.contact_kind = any({{ text_list('phone_contact_kinds') }}) or contacts.phone is not null
    union
    select
        instance,
        partner_id,
        cast(null as text) as legal_entity_id,
        'email' as method,
        lower(btrim(coalesce(nullif(email, ''), value))) as key
    from contacts
    where contact_kind = any({{ text_list('email_contact_kinds') }}) or email <> ''
    union
    select
        instance,
        partner_id,
        cast(null as text) as legal_entity_id,
        'address' as method,
        {{ address_key('value') }} as key
    from contacts
    where contact_kind = any({{ text_list('address_contact_kinds') }})
    union
    select
        named.instance,
        named.partner_id,
        named.legal_entity_id,
        'name' as method,
        match_keys.key
    from (
        select
            known.instance,
            known.partner_id,
            cast(null as text) as legal_entity_id,
            known.name,
            known.full_name
        from known
        union all
        select
            legal_entities.instance,
            legal_entities.partner_id,
            legal_entities.legal_entity_id,
            legal_entities.name,
            legal_entities.full_name
        from legal_entities
    ) as named
    cross join lateral (values (named.name), (named.full_name)) as written (text)
    inner join match_keys on written.text = match_keys.text and match_keys.kind = 'name'
)

select distinct
    signs.method,
    signs.key,
    known.instance,
    known.client_id,
    known.former_client_id,
    known.outlet_id,
    signs.legal_entity_id
from signs
inner join known on signs.instance = known.instance and signs.partner_id = known.partner_id
where signs.key <> ''
