{{ config(materialized='table', indexes=[{'columns': ['instance', 'client_id'], 'unique': true}], post_hook='{{ analyze_this() }}') }}

-- Clients that live on under another card of 1C, however many registrations lie between.
with recursive clients as (
    select
        instance,
        client_id,
        upper(btrim(client_code)) as client_code
    from {{ ref('int_client') }}
),

successors as (
    select distinct on (former.instance, former.client_id)
        former.instance,
        former.client_id,
        later.client_id as next_id,
        rows_filled.succeeded_on
    from {{ ref('stg_reference__client_successor') }} as rows_filled
    inner join clients as former
        on
            upper(btrim(rows_filled.client_code)) = former.client_code
            and coalesce(rows_filled.instance, former.instance) = former.instance
    inner join clients as later
        on
            upper(btrim(rows_filled.successor_code)) = later.client_code
            and former.instance = later.instance
            and former.client_id <> later.client_id
    where rows_filled.succeeded_on <= {{ as_of() }}
    order by former.instance, former.client_id, rows_filled.succeeded_on desc, later.client_id
),

-- A ring of successors is cut after ten steps.
chain as (
    select
        instance,
        client_id,
        next_id as successor_id,
        succeeded_on,
        1 as steps
    from successors
    union all
    select
        chain.instance,
        chain.client_id,
        successors.next_id as successor_id,
        chain.succeeded_on,
        chain.steps + 1 as steps
    from chain
    inner join successors on chain.instance = successors.instance and chain.successor_id = successors.client_id
    where chain.steps < 10 and successors.next_id <> chain.client_id
)

select distinct on (instance, client_id)
    instance,
    client_id,
    successor_id,
    succeeded_on
from chain
order by instance, client_id, steps desc
