with recursive {{ crm_redirects() }},

source as (
    {{ crm_union('stage_history', [
        'entity_kind', 'entity_id', 'pipeline_id', 'from_stage_id', 'to_stage_id', 'changed_at',
        'author_id'
    ]) }}
),

stage as (
    {{ crm_union('stage', ['semantics', 'pipeline_id']) }}
)

select
    source.crm,
    source.instance,
    source.record_id as stage_history_id,
    source.entity_kind,
    coalesce(redirect.new_id, source.entity_id) as entity_id,
    coalesce(source.pipeline_id, stage.pipeline_id) as pipeline_id,
    source.from_stage_id,
    source.to_stage_id,
    coalesce(stage.semantics, 'open') as to_semantics,
    source.changed_at,
    source.author_id,
    source.modified_at,
    source.loaded_at,
    source.load_id
from source
left join stage
    on
        source.crm = stage.crm
        and source.instance = stage.instance
        and source.to_stage_id = stage.record_id
left join redirect
    on
        source.instance = redirect.instance
        and source.entity_kind = redirect.entity
        and source.entity_id = redirect.old_id
