{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook="{{ delete_changed_client_months('purchased_on') }}",
        post_hook='{{ analyze_this() }}',
        indexes=[{'columns': ['instance', 'client_id', 'purchased_on'], 'unique': true}, {'columns': ['purchased_on'], 'type': 'brin'}]
    )
}}

-- depends_on: {{ ref('int_client_month_changed') }}
-- Days on which a client really bought: a shipment that came back whole is no purchase.
select
    days.instance,
    outlets.client_id,
    days.day as purchased_on
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
where days.is_purchase and outlets.client_id is not null
group by days.instance, outlets.client_id, days.day
