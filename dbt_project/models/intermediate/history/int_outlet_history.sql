{{
    config(
        materialized='table',
        indexes=[{'columns': ['instance', 'outlet_id', 'valid_from'], 'unique': true}],
        post_hook='{{ analyze_this() }}'
    )
}}

-- What outlets were, spell by spell: what an outlet does not say of itself its client says, as the client was then.
with outlets as (
    select * from {{ ref('int_outlet') }}
),

history as (
    select * from {{ ref('int_partner_history') }}
),

starts as (
    select
        outlets.instance,
        outlets.outlet_id,
        history.valid_from
    from outlets
    inner join history on outlets.instance = history.instance and outlets.partner_id = history.partner_id
    union
    select
        outlets.instance,
        outlets.outlet_id,
        history.valid_from
    from outlets
    inner join history on outlets.instance = history.instance and outlets.client_id = history.partner_id
),

spells as (
    select
        instance,
        outlet_id,
        valid_from,
        coalesce(
            lead(valid_from) over (partition by instance, outlet_id order by valid_from) - 1, cast('9999-12-31' as date)
        ) as valid_to
    from starts
)

select
    spells.instance,
    spells.outlet_id,
    outlets.client_id,
    outlets.partner_id,
    coalesce(own.name, outlets.outlet_name) as outlet_name,
    coalesce(own.outlet_format, client.outlet_format) as source_format,
    coalesce(own.channel, client.channel) as channel,
    coalesce(own.territory_id, client.territory_id) as territory_id,
    coalesce(own.manager_id, client.manager_id) as manager_id,
    least(own.closed_on, client.closed_on) as closed_on,
    coalesce(own.is_withdrawn or client.is_withdrawn, false) as is_withdrawn,
    spells.valid_from,
    spells.valid_to,
    greatest(own.known_since, client.known_since) as known_since
from spells
inner join outlets on spells.instance = outlets.instance and spells.outlet_id = outlets.outlet_id
left join history as own
    on
        outlets.instance = own.instance
        and outlets.partner_id = own.partner_id
        and spells.valid_from between own.valid_from and own.valid_to
left join history as client
    on
        outlets.instance = client.instance
        and outlets.client_id = client.partner_id
        and spells.valid_from between client.valid_from and client.valid_to
