{{
    config(
        indexes=[
            {'columns': ['instance', 'quarter_start', 'client_id'], 'unique': true},
            {'columns': ['instance', 'client_id']},
        ]
    )
}}

-- Where each client stands on the discount scale of the quarter, and whether the discounts given are the ones due.
-- A scale is a table that people load (reference.discount_tier); without one this mart is empty.
with tiers as (
    select * from {{ ref('stg_reference__discount_tier') }}
),

clients as (
    select * from {{ ref('int_client') }}
),

shipped as (
    select
        instance,
        client_id,
        cast(date_trunc('quarter', shipped_on) as date) as quarter_start,
        sum(signed_amount + discount_amount) as list_amount,
        sum(discount_amount) as discount_amount
    from {{ ref('fct_shipment_line') }}
    where
        line_class = 'sale'
        and client_id is not null
        and shipped_on <= {{ as_of() }}
        -- No scale, no quarter: lines before the first one are not even read.
        and shipped_on >= (select date_trunc('quarter', min(tiers.valid_from)) from tiers)
    group by instance, client_id, cast(date_trunc('quarter', shipped_on) as date)
),

returned as (
    select
        instance,
        client_id,
        cast(date_trunc('quarter', returned_on) as date) as quarter_start,
        -1 * sum(signed_amount) as returned_amount
    from {{ ref('fct_return_line') }}
    where
        line_class = 'return'
        and client_id is not null
        and returned_on <= {{ as_of() }}
        -- No scale, no quarter: lines before the first one are not even read.
        and returned_on >= (select date_trunc('quarter', min(tiers.valid_from)) from tiers)
    group by instance, client_id, cast(date_trunc('quarter', returned_on) as date)
),

bought as (
    select
        coalesce(shipped.instance, returned.instance) as instance,
        coalesce(shipped.client_id, returned.client_id) as client_id,
        coalesce(shipped.quarter_start, returned.quarter_start) as quarter_start,
        coalesce(shipped.list_amount, 0) as shipped_list_amount,
        coalesce(shipped.discount_amount, 0) as discount_amount,
        coalesce(returned.returned_amount, 0) as returned_amount,
        coalesce(shipped.list_amount, 0) - coalesce(returned.returned_amount, 0) as quarter_amount
    from shipped
    full outer join returned
        on
            shipped.instance = returned.instance
            and shipped.client_id = returned.client_id
            and shipped.quarter_start = returned.quarter_start
),

quarters as (
    select
        *,
        cast(quarter_start + interval '3 months - 1 day' as date) as quarter_end,
        cast(quarter_start + interval '3 months - 1 day' as date) < {{ as_of() }} as is_complete,
        least(cast(quarter_start + interval '3 months - 1 day' as date), {{ as_of() }}) as counted_to
    from bought
),

working_days as (
    select
        quarters.quarter_start,
        count(*) filter (where calendar.is_working_day and calendar.day <= {{ as_of() }}) as elapsed,
        count(*) filter (where calendar.is_working_day) as total
    from (select distinct
        quarter_start,
        quarter_end
    from quarters) as quarters
    inner join {{ ref('stg_ops__production_calendar') }} as calendar
        on calendar.day between quarters.quarter_start and quarters.quarter_end
    group by quarters.quarter_start
),

-- The scale as it is on the last day that counts; a row for one source goes before rows for all.
scales as (
    select
        quarters.instance,
        quarters.quarter_start,
        tiers.over_amount,
        tiers.discount_percent
    from (select distinct
        instance,
        quarter_start,
        counted_to
    from quarters) as quarters
    inner join tiers
        on
            coalesce(tiers.instance, quarters.instance) = quarters.instance
            and quarters.counted_to >= tiers.valid_from
            and quarters.counted_to <= coalesce(tiers.valid_to, quarters.counted_to)
),

judged as (
    select
        quarters.instance,
        quarters.client_id,
        quarters.quarter_start,
        max(scales.discount_percent) filter (where quarters.quarter_amount > scales.over_amount) as entitled_percent,
        min(scales.over_amount) filter (where quarters.quarter_amount <= scales.over_amount) as next_over_amount
    from quarters
    inner join scales
        on quarters.instance = scales.instance and quarters.quarter_start = scales.quarter_start
    group by quarters.instance, quarters.client_id, quarters.quarter_start
),

next_tiers as (
    select
        instance,
        quarter_start,
        over_amount,
        max(discount_percent) as discount_percent
    from scales
    group by instance, quarter_start, over_amount
)

select
    quarters.instance,
    quarters.client_id,
    clients.client_name,
    clients.manager_id,
    quarters.quarter_start,
    quarters.quarter_end,
    quarters.is_complete,
    cast(quarters.quarter_amount as numeric(24, 6)) as quarter_amount,
    cast(quarters.shipped_list_amount as numeric(24, 6)) as shipped_list_amount,
    cast(quarters.returned_amount as numeric(24, 6)) as returned_amount,
    cast(coalesce(judged.entitled_percent, 0) as numeric(6, 2)) as entitled_percent,
    cast(next_tiers.discount_percent as numeric(6, 2)) as next_percent,
    cast(judged.next_over_amount - quarters.quarter_amount as numeric(24, 6)) as to_next_amount,
    cast(
        case
            when quarters.is_complete then quarters.quarter_amount
            else round(quarters.quarter_amount * working_days.total / nullif(working_days.elapsed, 0), 2)
        end as numeric(24, 6)
    ) as projected_amount,
    cast(working_days.total - working_days.elapsed as integer) as working_days_left,
    cast(quarters.discount_amount as numeric(24, 6)) as discount_amount,
    cast(
        round(100.0 * quarters.discount_amount / nullif(quarters.shipped_list_amount, 0), 2) as numeric(12, 2)
    ) as given_percent,
    cast(
        round(
            quarters.discount_amount - quarters.shipped_list_amount * coalesce(judged.entitled_percent, 0) / 100, 2
        ) as numeric(24, 6)
    ) as over_discount_amount
from quarters
inner join judged
    on
        quarters.instance = judged.instance
        and quarters.client_id = judged.client_id
        and quarters.quarter_start = judged.quarter_start
left join next_tiers
    on
        judged.instance = next_tiers.instance
        and judged.quarter_start = next_tiers.quarter_start
        and judged.next_over_amount = next_tiers.over_amount
left join working_days on quarters.quarter_start = working_days.quarter_start
left join clients on quarters.instance = clients.instance and quarters.client_id = clients.client_id
