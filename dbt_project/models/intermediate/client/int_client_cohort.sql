{{ config(materialized='table', post_hook='{{ analyze_this() }}') }}

-- One row per card, so that what is joined to it keeps its own statistics: the planner takes a key worked out in the middle
-- of a query for a few values, and loops.
with cards as (
    select
        instance,
        client_id as card_id,
        min(first_purchased_on) as first_on
    from {{ ref('int_client_month_so_far') }}
    where purchase_days > 0
    group by instance, client_id
),

-- Who was registered anew lives on as the same client, since the first purchase of the former card.
clients as (
    select
        cards.instance,
        cards.card_id,
        coalesce(successors.successor_id, cards.card_id) as client_id,
        min(cards.first_on) over (
            partition by cards.instance, coalesce(successors.successor_id, cards.card_id)
        ) as first_purchase_on
    from cards
    left join {{ ref('int_client_successor') }} as successors
        on cards.instance = successors.instance and cards.card_id = successors.client_id
),

-- One purchase in the window is enough: looked up card by card.
kept as (
    select distinct
        clients.instance,
        clients.client_id
    from clients
    cross join
        lateral (
            select purchases.purchased_on
            from {{ ref('int_client_purchase_day') }} as purchases
            where
                purchases.instance = clients.instance
                and purchases.client_id = clients.card_id
                and purchases.purchased_on between clients.first_purchase_on + 366
                and least(clients.first_purchase_on + 366 + {{ var('retention_window_days') }}, {{ as_of() }})
            order by purchases.purchased_on
            limit 1
        ) as one
)

select
    clients.instance,
    clients.card_id,
    clients.client_id,
    clients.first_purchase_on,
    cast(date_trunc('month', clients.first_purchase_on) as date) as cohort_month,
    kept.client_id is not null as bought_after_a_year
from clients
left join kept on clients.instance = kept.instance and clients.client_id = kept.client_id
