with source as (
    select * from {{ source('ops', 'production_calendar') }}
)

select
    day,
    is_working_day,
    holiday_name
from source
