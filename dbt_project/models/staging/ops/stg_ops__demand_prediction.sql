select
    instance,
    made_for_week,
    origin_week,
    warehouse_id,
    product_id,
    method,
    week_start,
    predicted_quantity,
    ordered_quantity
from {{ source('ops', 'demand_prediction') }}
