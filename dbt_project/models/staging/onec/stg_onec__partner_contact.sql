with source as (
    select * from {{ source('onec', 'onec_partner_contact') }}
)

select
    instance,
    record_id as partner_id,
    line_no,
    contact_kind,
    value,
    email,
    phone,
    city,
    load_id
from source
