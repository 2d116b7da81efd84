with source as (
    select * from {{ source('ops', 'source_instance') }}
)

select
    source.instance,
    mapped.entity
from source
cross join lateral unnest(source.entities) as mapped (entity)
