with source as (
    {{ crm_union('user', [
        'name', 'email', 'phone', 'position', 'is_active', 'custom'
    ]) }}
)

select
    crm,
    instance,
    record_id as user_id,
    name,
    email,
    phone,
    position,
    is_active,
    custom,
    modified_at,
    loaded_at,
    load_id
from source
