with source as (
    select * from {{ source('onec', 'onec_sales_plan') }}
)

select
    instance,
    record_id as sales_plan_id,
    number,
    dated_at,
    coalesce(posted, false) as posted,
    coalesce(deletion_mark, false) as deletion_mark,
    period_start,
    period_end,
    status,
    scenario_id,
    organisation_id,
    department_id,
    manager_id,
    partner_id,
    segment_id,
    warehouse_id,
    comment,
    deleted_at,
    deleted_at is not null as is_deleted,
    loaded_at,
    load_id
from source
