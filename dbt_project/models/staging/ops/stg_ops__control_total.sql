with source as (
    select * from {{ source('ops', 'control_total') }}
)

select
    instance,
    measure,
    day as accounted_on,
    nullif(organisation_id, '') as organisation_id,
    nullif(subject_type, '') as subject_type,
    nullif(subject_id, '') as subject_id,
    amount,
    taken_at
from source
