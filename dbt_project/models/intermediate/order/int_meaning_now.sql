-- Words of documents that decide what their lines are: which side a reason of cancellation blames, what is no goods. With
-- them what decides about all: the zone of a base, its working days and hours, and the rules themselves.
select
    'reason' as word_kind,
    instance,
    cancellation_reason_id as word_id,
    concat_ws(':', cancelled_by, reason_name) as meaning
from {{ ref('int_cancellation_reason') }}
union all
select
    'product' as word_kind,
    instance,
    product_id as word_id,
    product_kind as meaning
from {{ ref('int_product') }}
where product_kind <> 'goods'
union all
select
    'zone' as word_kind,
    instance,
    instance as word_id,
    time_zone as meaning
from {{ ref('stg_ops__source_instance') }}
union all
select
    'day' as word_kind,
    '' as instance,
    cast(date_day as text) as word_id,
    concat_ws(':', is_working_day, {{ var('work_day_begins') }}, {{ var('work_day_ends') }}) as meaning
from {{ ref('int_calendar') }}
union all
select
    'rules' as word_kind,
    '' as instance,
    'rules' as word_id,
    '{{ definition_of(["fct_order_line", "fct_shipment_line", "fct_return_line", "fct_order_occasion", "order_fulfilment", "order_compliance", "order_assortment_gap", "order_quantity_gap", "distribution_numeric", "distribution_weighted", "int_outlet_day", "int_outlet_purchase", "int_placement_episode", "client_pnl", "client_segment", "int_client_month", "active_base_bridge"]) }}' as meaning  -- noqa: LT05
