-- What is known of each outlet and of its client that bears on its months, as one fingerprint.
select
    outlets.instance,
    outlets.outlet_id,
    outlets.client_id,
    md5(
        concat_ws(
            ':',
            outlets.client_id, outlets.territory_id, outlets.manager_id, outlets.outlet_format, outlets.channel,
            'client', clients.territory_id, clients.manager_id, clients.channel
        )
    ) as fingerprint
from {{ ref('int_outlet') }} as outlets
left join {{ ref('int_client') }} as clients
    on outlets.instance = clients.instance and outlets.client_id = clients.client_id
