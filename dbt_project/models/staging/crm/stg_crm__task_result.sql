with source as (
    {{ crm_union('task_result', [
        'body', 'author_id', 'created_at'
    ], lines=true) }}
)

select
    crm,
    instance,
    record_id as task_id,
    line_no,
    body,
    author_id,
    created_at,
    load_id
from source
