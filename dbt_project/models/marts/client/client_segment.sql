{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook=[
            "{{ delete_changed_months('int_segment_month_changed') }}", "{{ delete_months_outside(var('segment_history_months')) }}"
        ],
        post_hook=["{{ tell_clients_as_they_are(['territory_id', 'manager_id', 'channel']) }}", '{{ analyze_this() }}'],
        indexes=[
            {'columns': ['instance', 'month_start', 'client_id'], 'unique': true},
            {'columns': ['instance', 'client_id']},
        ]
    )
}}

-- depends_on: {{ ref('int_segment_month_changed') }}
-- One picture of each client per month, of the twelve months that end with it; today's unfinished month as it stands. Months
-- before which nothing changed keep their pictures.
with changed as (
    select * from {{ ref('int_segment_month_changed') }}
),

days as (
    select * from {{ ref('int_client_day') }}
    where
        day <= {{ as_of() }}
        and day >= date_trunc('month', {{ as_of() }})
        - ({{ var('segment_months') }} + {{ var('segment_history_months') }}) * interval '1 month'
        {% if is_incremental() -%}
        and day >= (select min(changed.month_start) from changed) - {{ var('segment_months') }} * interval '1 month'
        {%- endif %}
),

purchases as (
    select * from {{ ref('int_client_purchase_day') }}
    where
        purchased_on <= {{ as_of() }}
        and purchased_on >= date_trunc('month', {{ as_of() }})
        - ({{ var('segment_months') }} + {{ var('segment_history_months') }}) * interval '1 month'
        {% if is_incremental() -%}
        and purchased_on >= (select min(changed.month_start) from changed) - {{ var('segment_months') }} * interval '1 month'
        {%- endif %}
),

first_purchases as (
    select
        instance,
        client_id,
        min(purchased_on) as first_purchase_on
    from {{ ref('int_client_purchase_day') }}
    where purchased_on <= {{ as_of() }}
    group by instance, client_id
),

client_months as (
    select
        first_purchases.instance,
        first_purchases.client_id,
        first_purchases.first_purchase_on,
        cast(months.month_start as date) as month_start,
        least(cast(months.month_start + interval '1 month - 1 day' as date), {{ as_of() }}) as counted_to,
        cast(months.month_start + interval '1 month - 1 day' as date) < {{ as_of() }} as is_complete,
        cast(
            months.month_start - interval '{{ var('segment_months') }} months' + interval '1 month' as date
        ) as counted_from
    from first_purchases
    cross join
        lateral generate_series(
            date_trunc('month', first_purchases.first_purchase_on), {{ as_of() }}, interval '1 month'
        ) as months (month_start)
    where
        months.month_start
        >= date_trunc('month', {{ as_of() }}) - interval '{{ var('segment_history_months') }} months'
        {% if is_incremental() -%}
        and (first_purchases.instance, cast(months.month_start as date)) in (
            select
                changed.instance,
                changed.month_start
            from changed
        )
        {%- endif %}
),

money as (
    select
        client_months.instance,
        client_months.client_id,
        client_months.month_start,
        sum(days.net_amount) as net_amount,
        sum(days.net_amount_without_vat) as net_amount_without_vat,
        sum(days.shipped_amount) as shipped_amount,
        sum(days.returned_amount) as returned_amount
    from client_months
    inner join days
        on
            client_months.instance = days.instance
            and client_months.client_id = days.client_id
            and days.day between client_months.counted_from and client_months.counted_to
    group by client_months.instance, client_months.client_id, client_months.month_start
),

activity as (
    select
        client_months.instance,
        client_months.client_id,
        client_months.month_start,
        count(*) as purchase_days,
        max(purchases.purchased_on) as last_purchase_on
    from client_months
    inner join purchases
        on
            client_months.instance = purchases.instance
            and client_months.client_id = purchases.client_id
            and purchases.purchased_on between client_months.counted_from and client_months.counted_to
    group by client_months.instance, client_months.client_id, client_months.month_start
),

weeks as (
    select
        instance,
        client_id,
        cast(date_trunc('week', day) as date) as week_start,
        sum(net_amount) as net_amount
    from days
    group by instance, client_id, cast(date_trunc('week', day) as date)
),

-- Whole weeks of the window, from the week of the client's first purchase on; a week without one is a week of zero.
week_windows as (
    select
        instance,
        client_id,
        month_start,
        counted_to,
        greatest(
            cast(date_trunc('week', counted_from + 6) as date), cast(date_trunc('week', first_purchase_on) as date)
        ) as weeks_from,
        cast(date_trunc('week', counted_to + 1) as date) as weeks_to
    from client_months
),

regularity as (
    select
        windows.instance,
        windows.client_id,
        windows.month_start,
        greatest(windows.weeks_to - windows.weeks_from, 0) / 7 as weeks_observed,
        coalesce(sum(weeks.net_amount), 0) as weeks_amount,
        coalesce(sum(weeks.net_amount * weeks.net_amount), 0) as weeks_square
    from week_windows as windows
    left join weeks
        on
            windows.instance = weeks.instance
            and windows.client_id = weeks.client_id
            and windows.weeks_from <= weeks.week_start
            and windows.weeks_to > weeks.week_start
    group by windows.instance, windows.client_id, windows.month_start, windows.weeks_from, windows.weeks_to
),

varied as (
    select
        *,
        case
            when weeks_observed >= {{ var('xyz_min_weeks') }} and weeks_amount > 0
                then
                    sqrt(
                        greatest(weeks_square * weeks_observed - weeks_amount * weeks_amount, 0)
                    ) / weeks_amount
        end as weekly_variation
    from regularity
),

pictures as (
    select
        client_months.instance,
        client_months.client_id,
        client_months.month_start,
        client_months.is_complete,
        client_months.counted_from,
        client_months.counted_to,
        client_months.first_purchase_on,
        activity.last_purchase_on,
        coalesce(activity.purchase_days, 0) as purchase_days,
        coalesce(money.net_amount, 0) as net_amount,
        coalesce(money.net_amount_without_vat, 0) as net_amount_without_vat,
        coalesce(money.shipped_amount, 0) as shipped_amount,
        coalesce(money.returned_amount, 0) as returned_amount,
        varied.weeks_observed,
        varied.weekly_variation
    from client_months
    left join money
        on
            client_months.instance = money.instance
            and client_months.client_id = money.client_id
            and client_months.month_start = money.month_start
    left join activity
        on
            client_months.instance = activity.instance
            and client_months.client_id = activity.client_id
            and client_months.month_start = activity.month_start
    left join varied
        on
            client_months.instance = varied.instance
            and client_months.client_id = varied.client_id
            and client_months.month_start = varied.month_start
),

-- A client belongs to the class in which its own roubles begin: the largest one is always A.
ranked as (
    select
        instance,
        client_id,
        month_start,
        row_number() over by_amount as revenue_rank,
        (sum(net_amount) over by_amount - net_amount) / sum(net_amount) over (
            partition by instance, month_start
        ) as share_before
    from pictures
    where net_amount > 0
    window by_amount as (partition by instance, month_start order by net_amount desc, client_id)
),

scored as (
    select
        instance,
        client_id,
        month_start,
        ceil(5 * cume_dist() over (partition by instance, month_start order by last_purchase_on)) as recency_score,
        ceil(5 * cume_dist() over (partition by instance, month_start order by purchase_days)) as frequency_score,
        ceil(5 * cume_dist() over (partition by instance, month_start order by net_amount)) as revenue_score
    from pictures
    where purchase_days > 0
),

clients as (
    select * from {{ ref('int_client') }}
)

select
    pictures.instance,
    pictures.client_id,
    pictures.month_start,
    pictures.is_complete,
    pictures.counted_from,
    pictures.counted_to,
    pictures.first_purchase_on,
    pictures.last_purchase_on,
    cast(pictures.purchase_days as integer) as purchase_days,
    cast(pictures.net_amount as numeric(24, 6)) as net_amount,
    cast(pictures.net_amount_without_vat as numeric(24, 6)) as net_amount_without_vat,
    cast(pictures.shipped_amount as numeric(24, 6)) as shipped_amount,
    cast(pictures.returned_amount as numeric(24, 6)) as returned_amount,
    cast(ranked.revenue_rank as integer) as revenue_rank,
    cast(ranked.share_before as numeric(9, 6)) as revenue_share_before,
    case
        when ranked.share_before < {{ var('abc_a_share') }} then 'A'
        when ranked.share_before < {{ var('abc_a_share') }} + {{ var('abc_b_share') }} then 'B'
        when ranked.share_before is not null then 'C'
    end as abc_class,
    cast(pictures.weeks_observed as integer) as weeks_observed,
    cast(pictures.weekly_variation as numeric(12, 4)) as weekly_variation,
    case
        when pictures.weeks_observed < {{ var('xyz_min_weeks') }} then 'new'
        when pictures.weekly_variation <= {{ var('xyz_x_max') }} then 'X'
        when pictures.weekly_variation <= {{ var('xyz_y_max') }} then 'Y'
        when pictures.weekly_variation is not null then 'Z'
    end as xyz_class,
    cast(scored.recency_score as integer) as recency_score,
    cast(scored.frequency_score as integer) as frequency_score,
    cast(scored.revenue_score as integer) as revenue_score,
    clients.territory_id,
    clients.manager_id,
    clients.channel
from pictures
left join ranked
    on
        pictures.instance = ranked.instance
        and pictures.client_id = ranked.client_id
        and pictures.month_start = ranked.month_start
left join scored
    on
        pictures.instance = scored.instance
        and pictures.client_id = scored.client_id
        and pictures.month_start = scored.month_start
left join clients on pictures.instance = clients.instance and pictures.client_id = clients.client_id
