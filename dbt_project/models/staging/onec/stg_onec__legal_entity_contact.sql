with source as (
    select * from {{ source('onec', 'onec_legal_entity_contact') }}
)

select
    instance,
    record_id as legal_entity_id,
    line_no,
    contact_kind,
    value,
    email,
    phone,
    city,
    load_id
from source
