with recursive {{ crm_redirects() }},

source as (
    {{ crm_union('task_link', [
        'linked_kind', 'linked_id'
    ], lines=true) }}
)

select
    source.crm,
    source.instance,
    source.record_id as task_id,
    source.line_no,
    source.linked_kind,
    coalesce(redirect.new_id, source.linked_id) as linked_id,
    source.load_id
from source
left join redirect
    on
        source.instance = redirect.instance
        and source.linked_kind = redirect.entity
        and source.linked_id = redirect.old_id
