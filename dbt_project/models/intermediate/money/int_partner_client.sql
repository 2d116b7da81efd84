-- Whose every partner is: a client is its own, the partner of an outlet belongs to the outlet's client.
select
    instance,
    client_id as partner_id,
    client_id
from {{ ref('int_client') }}
where client_id is not null
union
select
    outlets.instance,
    outlets.partner_id,
    min(outlets.client_id) as client_id
from {{ ref('int_outlet') }} as outlets
left join {{ ref('int_client') }} as clients
    on outlets.instance = clients.instance and outlets.partner_id = clients.client_id
where outlets.client_id is not null and outlets.partner_id is not null and clients.client_id is null
group by outlets.instance, outlets.partner_id
