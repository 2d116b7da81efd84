with recursive {{ crm_redirects() }}

select
    instance,
    entity as entity_kind,
    old_id,
    new_id
from redirect
