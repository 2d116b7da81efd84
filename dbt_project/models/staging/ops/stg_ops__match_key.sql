with source as (
    select * from {{ source('ops', 'match_key') }}
)

select
    kind,
    text,
    key
from source
-- A text in which nothing was found is kept with an empty key, so that it is not read again.
where key <> ''
