select
    instance,
    made_for_week,
    warehouse_id,
    product_id,
    segment,
    history_weeks
from {{ source('ops', 'demand_series') }}
