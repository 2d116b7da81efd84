{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook='{{ delete_changed_order_days() }}',
        post_hook='{{ analyze_this() }}',
        indexes=[
            {'columns': ['instance', 'outlet_id', 'ordered_on', 'product_id'], 'unique': true},
            {'columns': ['ordered_on', 'is_alert']},
            {'columns': ['product_id', 'ordered_on']},
        ]
    )
}}

-- Lines that were smaller than agreed or usual, and lines that have grown so that more may be proposed. Ordered quantities:
-- what we failed to ship is not the client's doing.
with positions as (
    select basket.*
    from {{ ref('int_basket_line') }} as basket
    {% if is_incremental() %}
    inner join {{ ref('int_order_day_changed') }} as changed
        on
            basket.instance = changed.instance
            and basket.outlet_id = changed.outlet_id
            and basket.ordered_on >= changed.changed_from
    {% endif %}
    where basket.is_taken and basket.base_quantity is not null
),

-- Grown by the same measure at this purchase and at the one before.
grown as (
    select
        *,
        is_judged
        and ordered_quantity >= {{ var('raise_share') }} * base_quantity
        and coalesce(previous_quantity >= {{ var('raise_share') }} * base_quantity and not previous_is_promotion, false)
            as is_raise
    from positions
),

compliance as (
    select * from {{ ref('order_compliance') }}
)

select
    grown.instance,
    grown.ordered_on,
    grown.outlet_id,
    compliance.client_id,
    compliance.branch_id,
    compliance.manager_id,
    grown.sku_id as product_id,
    grown.quantity_basis as basis,
    cast(grown.occasions_before as integer) as occasions_before,
    cast(grown.ordered_quantity as numeric(24, 6)) as ordered_quantity,
    cast(grown.base_quantity as numeric(24, 6)) as usual_quantity,
    cast(round(grown.expected_quantity, 6) as numeric(24, 6)) as expected_quantity,
    cast(greatest(grown.base_quantity - grown.ordered_quantity, 0) as numeric(24, 6)) as shortfall_quantity,
    cast(
        round(greatest(grown.base_quantity - grown.ordered_quantity, 0) * grown.constant_price, 2) as numeric(18, 2)
    ) as shortfall_amount,
    grown.ordered_quantity < grown.base_quantity as is_short,
    grown.is_judged and grown.ordered_quantity < {{ var('reduced_line_share') }} * grown.expected_quantity as is_reduced,
    grown.is_promotion,
    grown.is_after_promotion,
    grown.is_raise,
    compliance.is_quantity_alert
    and grown.is_judged
    and grown.ordered_quantity < {{ var('reduced_line_share') }} * grown.expected_quantity as is_alert
from grown
inner join compliance
    on
        grown.instance = compliance.instance
        and grown.outlet_id = compliance.outlet_id
        and grown.ordered_on = compliance.ordered_on
where grown.ordered_quantity < grown.base_quantity or grown.is_raise
