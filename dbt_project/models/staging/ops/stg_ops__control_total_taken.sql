with source as (
    select * from {{ source('ops', 'control_total_taken') }}
)

select
    instance,
    measure,
    day as accounted_on,
    subject_type = 'document' as is_by_document,
    taken_at
from source
