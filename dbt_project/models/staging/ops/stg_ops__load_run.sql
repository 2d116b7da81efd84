with source as (
    select * from {{ source('ops', 'load_run') }}
)

select
    load_id,
    instance,
    entity,
    mode,
    status,
    started_at,
    finished_at,
    rows_claimed,
    rows_seen,
    rows_rejected,
    published,
    error
from source
