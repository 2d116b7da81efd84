with source as (
    {{ crm_union('lead_channel', [
        'channel', 'value', 'label'
    ], lines=true) }}
)

select
    crm,
    instance,
    record_id as lead_id,
    line_no,
    channel,
    value,
    label,
    load_id
from source
