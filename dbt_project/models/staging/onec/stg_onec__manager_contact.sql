with source as (
    select * from {{ source('onec', 'onec_manager_contact') }}
)

select
    instance,
    record_id as manager_id,
    line_no,
    contact_kind,
    value,
    email,
    phone,
    load_id
from source
