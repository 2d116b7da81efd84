with source as (
    select * from {{ source('ops', 'source_instance') }}
)

select
    instance,
    kind,
    time_zone,
    outlet_lives_in,
    branches
from source
