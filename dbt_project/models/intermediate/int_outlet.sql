{{
    config(
        materialized='table',
        indexes=[{'columns': ['instance', 'outlet_id'], 'unique': true}, {'columns': ['instance', 'partner_id']}],
        post_hook='{{ analyze_this() }}'
    )
}}

with recursive source_instances as (
    select * from {{ ref('stg_ops__source_instance') }}
),

partners as (
    select * from {{ ref('stg_onec__partner') }}
),

outlet_formats as (
    select * from {{ ref('outlet_format_map') }}
),

addresses as (
    select distinct on (instance, partner_id)
        instance,
        partner_id,
        value as address,
        city
    from {{ ref('stg_onec__partner_contact') }}
    where contact_kind = any({{ text_list('address_contact_kinds') }})
    order by instance, partner_id, line_no
),

-- Where outlets are partners, addresses do not tell them apart.
documents as (
    {%- for document in ['order', 'shipment', 'return'] %}
    select distinct
        documents.instance,
        documents.partner_id,
        case when source_instances.outlet_lives_in = 'delivery_address' then documents.delivery_address end as delivery_address
    from {{ ref('stg_onec__' ~ document) }} as documents
    inner join source_instances on documents.instance = source_instances.instance
    where not documents.is_deleted and documents.partner_id is not null
    {%- if not loop.last %}
    union
    {%- endif %}
    {%- endfor %}
),

placed_documents as (
    select
        documents.instance,
        documents.partner_id,
        documents.delivery_address,
        {{ outlet_id('documents', 'source_instances.outlet_lives_in') }} as outlet_id
    from documents
    inner join source_instances on documents.instance = source_instances.instance
),

document_outlets as (
    select
        instance,
        partner_id,
        outlet_id,
        min(btrim(delivery_address)) as delivery_address
    from placed_documents
    group by instance, partner_id, outlet_id
),

partners_in_documents as (
    select
        instance,
        partner_id
    from document_outlets
    where outlet_id = partner_id
),

partners_with_addresses as (
    select distinct
        instance,
        partner_id
    from document_outlets
    where outlet_id <> partner_id
),

-- A partner whose parent is unknown is a top one; a ring of parents, which 1C forbids, is cut at its members.
tree as (
    select
        partner.instance,
        partner.partner_id,
        partner.partner_id as top_partner_id,
        0 as depth
    from partners as partner
    left join partners as parent
        on partner.instance = parent.instance and partner.parent_id = parent.partner_id
    where parent.partner_id is null
    union all
    select
        child.instance,
        child.partner_id,
        tree.top_partner_id,
        tree.depth + 1 as depth
    from tree
    inner join partners as child on tree.instance = child.instance and tree.partner_id = child.parent_id
    where tree.depth < 20
),

live_children as (
    select
        instance,
        parent_id as partner_id
    from partners
    where parent_id is not null and not deletion_mark and not is_deleted
    group by instance, parent_id
),

-- Outlets that are partners themselves. A head with outlets of its own counts as one only when documents name it.
partner_outlets as (
    select
        partners.instance,
        partners.partner_id as outlet_id,
        partners.partner_id,
        case
            when source_instances.outlet_lives_in = 'sub_partner' then coalesce(tree.top_partner_id, partners.partner_id)
            else partners.partner_id
        end as client_id,
        partners.name as outlet_name,
        cast(null as text) as delivery_address,
        source_instances.outlet_lives_in = 'sub_partner' and live_children.partner_id is not null and partners.parent_id is null
            as is_inferred
    from partners
    inner join source_instances on partners.instance = source_instances.instance
    left join tree on partners.instance = tree.instance and partners.partner_id = tree.partner_id
    left join partners as top_partner
        on tree.instance = top_partner.instance and tree.top_partner_id = top_partner.partner_id
    left join live_children
        on partners.instance = live_children.instance and partners.partner_id = live_children.partner_id
    left join partners_in_documents
        on partners.instance = partners_in_documents.instance and partners.partner_id = partners_in_documents.partner_id
    left join partners_with_addresses
        on
            partners.instance = partners_with_addresses.instance
            and partners.partner_id = partners_with_addresses.partner_id
    where
        partners_in_documents.partner_id is not null
        or (
            partners_with_addresses.partner_id is null
            and (partners.is_client or coalesce(top_partner.is_client, false))
            and not (
                source_instances.outlet_lives_in = 'sub_partner'
                and partners.parent_id is null
                and live_children.partner_id is not null
            )
        )
),

-- Outlets that are addresses of a partner.
address_outlets as (
    select
        document_outlets.instance,
        document_outlets.outlet_id,
        document_outlets.partner_id,
        document_outlets.partner_id as client_id,
        coalesce(partners.name || ', ', '') || document_outlets.delivery_address as outlet_name,
        document_outlets.delivery_address,
        false as is_inferred
    from document_outlets
    left join partners
        on document_outlets.instance = partners.instance and document_outlets.partner_id = partners.partner_id
    where document_outlets.outlet_id <> document_outlets.partner_id
),

-- Documents may name a partner that has not landed (yet): its facts must not be lost.
unknown_outlets as (
    select
        partners_in_documents.instance,
        partners_in_documents.partner_id as outlet_id,
        partners_in_documents.partner_id,
        partners_in_documents.partner_id as client_id,
        'Нет в справочнике: ' || partners_in_documents.partner_id as outlet_name,
        cast(null as text) as delivery_address,
        true as is_inferred
    from partners_in_documents
    left join partners
        on
            partners_in_documents.instance = partners.instance
            and partners_in_documents.partner_id = partners.partner_id
    where partners.partner_id is null
),

outlets as (
    select * from partner_outlets
    union all
    select * from address_outlets
    union all
    select * from unknown_outlets
),

described as (
    select
        outlets.instance,
        outlets.outlet_id,
        outlets.partner_id,
        outlets.client_id,
        outlets.outlet_name,
        own.code as outlet_code,
        coalesce(own.outlet_format, client.outlet_format) as source_format,
        coalesce(own.channel, client.channel) as channel,
        coalesce(own.territory_id, client.territory_id) as territory_id,
        coalesce(own.manager_id, client.manager_id) as manager_id,
        own.registered_on,
        least(own.closed_on, client.closed_on) as closed_on,
        coalesce(outlets.delivery_address, addresses.address) as address,
        addresses.city,
        outlets.is_inferred,
        coalesce(own.deletion_mark or own.is_deleted or client.deletion_mark or client.is_deleted, false) as is_withdrawn
    from outlets
    left join partners as own on outlets.instance = own.instance and outlets.partner_id = own.partner_id
    left join partners as client on outlets.instance = client.instance and outlets.client_id = client.partner_id
    left join addresses on outlets.instance = addresses.instance and outlets.partner_id = addresses.partner_id
),

matched_formats as (
    select distinct on (described.instance, described.outlet_id)
        described.instance,
        described.outlet_id,
        outlet_formats.outlet_format,
        outlet_formats.name_ru,
        outlet_formats.breadth_standard
    from described
    inner join outlet_formats on lower(described.source_format) ~ outlet_formats.pattern
    order by described.instance, described.outlet_id, outlet_formats.priority
)

select
    described.*,
    case
        when described.source_format is null then 'unknown'
        else coalesce(matched_formats.outlet_format, 'other')
    end as outlet_format,
    coalesce(matched_formats.name_ru, described.source_format, 'Не определён') as outlet_format_name,
    matched_formats.breadth_standard
from described
left join matched_formats
    on described.instance = matched_formats.instance and described.outlet_id = matched_formats.outlet_id
