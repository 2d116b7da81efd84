with source as (
    select * from {{ source('ops', 'name_likeness') }}
)

select
    crm_name,
    onec_name,
    score / 100 as likeness
from source
