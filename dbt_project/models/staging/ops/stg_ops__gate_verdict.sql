with source as (
    select * from {{ source('ops', 'gate_verdict') }}
)

select
    verdict_id,
    checked_at,
    as_of,
    instance,
    branch_id,
    branch_name,
    verdict,
    reason_ru,
    reason_en
from source
