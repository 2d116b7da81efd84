with source as (
    {{ crm_union('stage', [
        'name', 'entity_kind', 'pipeline_id', 'sort', 'semantics', 'probability'
    ]) }}
)

select
    crm,
    instance,
    record_id as stage_id,
    name,
    entity_kind,
    pipeline_id,
    sort,
    semantics,
    probability,
    modified_at,
    loaded_at,
    load_id
from source
