with source as (
    {{ crm_union('pipeline', [
        'name', 'entity_kind', 'sort', 'is_default', 'is_archived'
    ]) }}
)

select
    crm,
    instance,
    record_id as pipeline_id,
    name,
    entity_kind,
    sort,
    is_default,
    is_archived,
    modified_at,
    loaded_at,
    load_id
from source
