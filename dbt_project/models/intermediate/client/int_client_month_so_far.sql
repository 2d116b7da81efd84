-- Months of clients up to the business date: whole ones before its month, and its own as far as it has come.
select
    instance,
    client_id,
    month_start,
    purchase_days,
    first_purchased_on,
    last_purchased_on,
    net_amount
from {{ ref('int_client_month') }}
where month_start < date_trunc('month', {{ as_of() }})
union all
select
    instance,
    client_id,
    cast(date_trunc('month', {{ as_of() }}) as date) as month_start,
    cast(count(*) filter (where is_purchase) as integer) as purchase_days,
    min(day) filter (where is_purchase) as first_purchased_on,
    max(day) filter (where is_purchase) as last_purchased_on,
    sum(net_amount) as net_amount
from (
    select
        instance,
        client_id,
        day,
        net_amount,
        false as is_purchase
    from {{ ref('int_client_day') }}
    where day >= date_trunc('month', {{ as_of() }}) and day <= {{ as_of() }}
    union all
    select
        instance,
        client_id,
        purchased_on as day,
        0 as net_amount,
        true as is_purchase
    from {{ ref('int_client_purchase_day') }}
    where purchased_on >= date_trunc('month', {{ as_of() }}) and purchased_on <= {{ as_of() }}
) as days
group by instance, client_id
