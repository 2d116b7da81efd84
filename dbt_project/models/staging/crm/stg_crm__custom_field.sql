with source as (
    {{ crm_union('custom_field', [
        'entity_kind', 'code', 'name', 'field_type', 'is_multiple', 'is_required'
    ]) }}
)

select
    crm,
    instance,
    record_id as custom_field_id,
    entity_kind,
    code,
    name,
    field_type,
    is_multiple,
    is_required,
    modified_at,
    loaded_at,
    load_id
from source
