-- Segments partition the clients: every month that has pictures has one of each client who had bought by its end, whoever earns
-- something is in exactly one class, and shares and ranks of the classes leave no gap.
with pictures as (
    select * from {{ ref('client_segment') }}
),

months as (
    select distinct
        instance,
        month_start,
        counted_to
    from pictures
),

buyers as (
    select
        instance,
        client_id,
        min(purchased_on) as first_on
    from {{ ref('int_client_purchase_day') }}
    where purchased_on <= {{ as_of() }}
    group by instance, client_id
),

expected as (
    select
        months.instance,
        months.month_start,
        count(*) as clients
    from months
    inner join buyers on months.instance = buyers.instance and months.counted_to >= buyers.first_on
    group by months.instance, months.month_start
),

found as (
    select
        instance,
        month_start,
        count(*) as pictures,
        count(distinct client_id) as clients,
        count(*) filter (where (net_amount > 0) <> (abc_class is not null)) as wrongly_classed,
        count(abc_class) as classed,
        max(revenue_rank) as last_rank
    from pictures
    group by instance, month_start
)

select
    found.*,
    expected.clients as clients_expected
from found
full outer join expected on found.instance = expected.instance and found.month_start = expected.month_start
where
    found.pictures is distinct from expected.clients
    or found.clients is distinct from expected.clients
    or found.wrongly_classed > 0
    or found.classed <> coalesce(found.last_rank, 0)
