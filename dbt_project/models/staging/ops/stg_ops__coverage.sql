with source as (
    select * from {{ source('ops', 'coverage') }}
)

select
    instance,
    entity,
    covered_until,
    last_success_at,
    load_id
from source
