{{
    config(
        indexes=[
            {'columns': ['instance', 'outlet_id', 'product_id'], 'unique': true},
            {'columns': ['is_alert', 'instance', 'outlet_id']},
        ]
    )
}}

-- Positions that outlets of the same format on the same territory buy and this one never did, on the business date.
-- `is_alert`: the outlet took nothing new for long, so there is something to offer.
-- Peers of the territory when there are enough of them, else of the format everywhere.
with active as (
    select distinct
        recent.instance,
        recent.outlet_id,
        outlets.client_id,
        outlets.manager_id,
        outlets.breadth_standard,
        recent.outlet_format,
        recent.positions,
        recent.near_outlets > {{ var('min_peers') }} as has_near_peers,
        case when recent.near_outlets > {{ var('min_peers') }} then recent.territory_id else '' end as peers_territory_id
    from {{ ref('int_outlet_recent_sku') }} as recent
    inner join {{ ref('int_outlet') }} as outlets
        on recent.instance = outlets.instance and recent.outlet_id = outlets.outlet_id
),

-- An outlet that never held the position is no holder, so all holders are its peers.
candidates as (
    select
        active.*,
        shares.sku_id,
        shares.holders,
        shares.outlets_total - 1 as peers,
        shares.median_amount
    from active
    inner join {{ ref('int_peer_share') }} as shares
        on
            active.instance = shares.instance
            and active.outlet_format = shares.outlet_format
            and active.peers_territory_id = shares.territory_id
    inner join {{ ref('int_sku') }} as skus
        on shares.instance = skus.instance and shares.sku_id = skus.product_id
    left join {{ ref('int_placement_episode') }} as had
        on
            active.instance = had.instance
            and active.outlet_id = had.outlet_id
            and shares.sku_id = had.sku_id
            and had.episode_no = 1
            and had.placed_on <= {{ as_of() }}
    where
        had.sku_id is null
        and not skus.is_withdrawn
        and shares.outlets_total > {{ var('min_peers') }}
        and shares.holders >= {{ var('candidate_peer_share') }} * (shares.outlets_total - 1)
),

last_news as (
    select
        instance,
        outlet_id,
        max(placed_on) as last_new_on
    from {{ ref('int_placement_episode') }}
    where placed_on <= {{ as_of() }}
    group by instance, outlet_id
)

select
    {{ as_of() }} as as_of,
    candidates.instance,
    candidates.outlet_id,
    candidates.client_id,
    candidates.manager_id,
    candidates.sku_id as product_id,
    cast(
        row_number() over (
            partition by candidates.instance, candidates.outlet_id
            order by 1.0 * candidates.holders / candidates.peers desc, candidates.median_amount desc, candidates.sku_id asc
        ) as integer
    ) as candidate_rank,
    candidates.holders as peers_holding,
    candidates.peers as peers_total,
    case when candidates.has_near_peers then 'format_territory' else 'format' end as peer_group,
    cast(
        round(candidates.median_amount * 30 / {{ var('new_position_days') }}, 2) as numeric(18, 2)
    ) as monthly_amount,
    cast(candidates.positions as integer) as positions,
    cast(greatest(candidates.breadth_standard - candidates.positions, 0) as integer) as positions_to_standard,
    last_news.last_new_on,
    cast({{ as_of() }} - last_news.last_new_on as integer) as days_without_new,
    {{ as_of() }} - last_news.last_new_on > {{ var('new_position_days') }} as is_alert
from candidates
inner join last_news
    on candidates.instance = last_news.instance and candidates.outlet_id = last_news.outlet_id
