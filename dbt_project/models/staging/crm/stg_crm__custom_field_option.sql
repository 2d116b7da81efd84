with source as (
    {{ crm_union('custom_field_option', [
        'option_id', 'value', 'sort'
    ], lines=true) }}
)

select
    crm,
    instance,
    record_id as custom_field_id,
    line_no,
    option_id,
    value,
    sort,
    load_id
from source
