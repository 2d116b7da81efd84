with recursive {{ crm_redirects() }}

select
    redirect.instance,
    redirect.entity as entity_kind,
    redirect.old_id,
    redirect.new_id,
    source.seen_at
from redirect
inner join {{ source('crm', 'record_redirect') }} as source
    on
        redirect.instance = source.instance
        and redirect.entity = source.entity
        and redirect.old_id = source.old_id
