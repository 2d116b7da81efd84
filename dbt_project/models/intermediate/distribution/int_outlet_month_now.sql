{{ config(materialized='table', post_hook='{{ analyze_this() }}') }}

-- Which documents make up each month of each outlet, as one number that changes when any of them does, or when the outlet
-- moves to another territory, rep, format or channel. A return tied to a shipment belongs to the month of that shipment.
with shipments as (
    select * from {{ ref('int_shipment') }}
),

returns as (
    select * from {{ ref('int_return') }}
),

outlets as (
    select * from {{ ref('int_outlet') }}
),

links as (
    select distinct
        instance,
        return_id,
        shipment_id
    from {{ ref('int_return_line') }}
    where shipment_id is not null
),

-- A return counts in its own month unless the shipment it names is known, so that month depends on the shipment as well.
known_links as (
    select
        links.instance,
        links.return_id,
        sum(hashtextextended(concat_ws(':', shipments.shipment_id, shipments.load_id, shipments.row_hash), 0)) as shipments_hash
    from links
    inner join shipments on links.instance = shipments.instance and links.shipment_id = shipments.shipment_id
    group by links.instance, links.return_id
),

documents as (
    select
        instance,
        coalesce(outlet_id, 'unknown') as outlet_id,
        shipped_on as day,
        concat_ws(':', 'shipment', shipment_id, load_id, row_hash, branch_id, shipped_on) as document
    from shipments
    union all
    select
        returns.instance,
        coalesce(returns.outlet_id, 'unknown') as outlet_id,
        returns.returned_on as day,
        concat_ws(
            ':', 'return', returns.return_id, returns.load_id, returns.row_hash, returns.branch_id, returns.returned_on,
            known_links.shipments_hash
        ) as document
    from returns
    left join known_links on returns.instance = known_links.instance and returns.return_id = known_links.return_id
    union all
    select
        shipments.instance,
        coalesce(shipments.outlet_id, 'unknown') as outlet_id,
        shipments.shipped_on as day,
        concat_ws(':', 'of shipment', returns.return_id, returns.load_id, returns.row_hash, shipments.shipment_id) as document
    from links
    inner join returns on links.instance = returns.instance and links.return_id = returns.return_id
    inner join shipments on links.instance = shipments.instance and links.shipment_id = shipments.shipment_id
),

months as (
    select
        instance,
        outlet_id,
        cast(date_trunc('month', day) as date) as month_start,
        count(*) as documents,
        sum(hashtextextended(document, 0)) as sum_of_hashes
    from documents
    group by instance, outlet_id, cast(date_trunc('month', day) as date)
)

select
    months.instance,
    months.outlet_id,
    months.month_start,
    md5(
        concat_ws(
            ':', months.documents, months.sum_of_hashes, outlets.client_id, outlets.territory_id, outlets.manager_id,
            outlets.outlet_format, outlets.channel
        )
    ) as fingerprint
from months
left join outlets on months.instance = outlets.instance and months.outlet_id = outlets.outlet_id
