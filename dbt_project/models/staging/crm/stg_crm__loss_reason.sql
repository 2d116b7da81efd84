with source as (
    {{ crm_union('loss_reason', [
        'name'
    ]) }}
)

select
    crm,
    instance,
    record_id as loss_reason_id,
    name,
    modified_at,
    loaded_at,
    load_id
from source
