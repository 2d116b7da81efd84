with source as (
    {{ crm_union('task', [
        'name', 'body', 'status', 'followup_id', 'responsible_id', 'author_id',
        'created_at', 'deadline_at', 'completed_at', 'is_completed', 'result', 'custom'
    ]) }}
)

select
    crm,
    instance,
    record_id as task_id,
    name,
    body,
    status,
    followup_id,
    responsible_id,
    author_id,
    created_at,
    deadline_at,
    completed_at,
    is_completed,
    result,
    custom,
    modified_at,
    loaded_at,
    load_id
from source
