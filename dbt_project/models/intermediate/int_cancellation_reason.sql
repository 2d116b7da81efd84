-- Whose decision a cancellation was, read from the reason's name: the first pattern that fits, by priority.
with reasons as (
    select * from {{ ref('stg_onec__cancellation_reason') }}
),

patterns as (
    select * from {{ ref('cancellation_reason_map') }}
)

select distinct on (reasons.instance, reasons.cancellation_reason_id)
    reasons.instance,
    reasons.cancellation_reason_id,
    reasons.name as reason_name,
    coalesce(patterns.cancelled_by, 'unknown') as cancelled_by
from reasons
left join patterns on lower(reasons.name) ~ patterns.pattern
order by reasons.instance, reasons.cancellation_reason_id, patterns.priority
