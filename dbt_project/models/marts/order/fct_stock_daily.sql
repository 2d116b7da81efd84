{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='append_new_columns',
        full_refresh=false,
        pre_hook='{{ delete_stock_read_again() }}',
        post_hook='{{ analyze_this() }}',
        indexes=[
            {'columns': ['instance', 'stock_on', 'warehouse_id', 'product_id'], 'unique': true},
            {'columns': ['instance', 'product_id', 'stock_on']},
        ]
    )
}}

-- Our stock as it stood when it was last read, one picture a day. 1C tells only today's, so past days are kept as they
-- were and never rebuilt.
with pictures as (
    select * from {{ ref('int_stock_picture') }}
),

stock as (
    select * from {{ ref('stg_onec__stock') }}
    where not is_deleted and product_id is not null
)

select
    stock.instance,
    pictures.stock_on,
    coalesce(stock.warehouse_id, 'unknown') as warehouse_id,
    stock.product_id,
    cast(sum(stock.on_hand) as numeric(24, 6)) as on_hand_quantity,
    cast(sum(stock.to_ship) as numeric(24, 6)) as to_ship_quantity,
    cast(sum(coalesce(stock.on_hand, 0) - coalesce(stock.to_ship, 0)) as numeric(24, 6)) as available_quantity
from stock
inner join pictures on stock.instance = pictures.instance
group by stock.instance, pictures.stock_on, coalesce(stock.warehouse_id, 'unknown'), stock.product_id
