{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook="{{ delete_changed_client_months('day') }}",
        post_hook='{{ analyze_this() }}',
        indexes=[{'columns': ['instance', 'client_id', 'day'], 'unique': true}, {'columns': ['day'], 'type': 'brin'}]
    )
}}

-- depends_on: {{ ref('int_client_month_changed') }}
-- What each client bought and gave back, day by day. Goods only: no services, tare, free goods, fees.
select
    days.instance,
    outlets.client_id,
    days.day,
    sum(days.shipped_amount) as shipped_amount,
    -1 * sum(days.returned_amount) as returned_amount,
    sum(days.shipped_amount) + sum(days.returned_amount) as net_amount,
    sum(days.shipped_amount) + sum(days.returned_amount) - sum(days.shipped_vat) + sum(days.returned_vat) as net_amount_without_vat,
    cast(sum(days.shipments) as bigint) as shipments,
    cast(sum(days.returns) as bigint) as returns
from {{ ref('int_outlet_day') }} as days
inner join {{ ref('int_outlet') }} as outlets
    on days.instance = outlets.instance and days.outlet_id = outlets.outlet_id
{% if is_incremental() %}
inner join {{ ref('int_client_month_changed') }} as changed
    on
        outlets.instance = changed.instance
        and outlets.client_id = changed.client_id
        and days.month_start = changed.month_start
{% endif %}
where outlets.client_id is not null and (days.shipments > 0 or days.returns > 0)
group by days.instance, outlets.client_id, days.day
