with source as (
    {{ crm_union('activity', [
        'kind', 'direction', 'subject', 'body', 'responsible_id', 'author_id',
        'created_at', 'started_at', 'ended_at', 'deadline_at', 'is_completed', 'duration_seconds',
        'result'
    ]) }}
)

select
    crm,
    instance,
    record_id as activity_id,
    kind,
    direction,
    subject,
    body,
    responsible_id,
    author_id,
    created_at,
    started_at,
    ended_at,
    deadline_at,
    is_completed,
    duration_seconds,
    result,
    modified_at,
    loaded_at,
    load_id
from source
