-- What the profit of each month's clients follows from besides their sales, as fingerprints: expenses, bonus points, whether
-- the month is over and its books are closed; whether anybody keeps points at all (under no month).
with months as (
    select distinct
        instance,
        month_start
    from {{ ref('int_outlet_month') }}
)

select
    'expense' as word_kind,
    instance,
    month_start,
    cast(
        sum(
            hashtextextended(concat_ws(':', spent_on, organisation_id, expense_kind, 'of ' || client_id, amount_without_vat), 0)
        ) as text
    ) as fingerprint
from {{ ref('int_expense') }}
where spent_on <= {{ as_of() }}
group by instance, month_start
union all
select
    'bonus' as word_kind,
    instance,
    cast(date_trunc('month', moved_on) as date) as month_start,
    cast(sum(hashtextextended(concat_ws(':', client_id, moved_on, points), 0)) as text) as fingerprint
from {{ ref('int_bonus_movement') }}
where moved_on <= {{ as_of() }}
group by instance, cast(date_trunc('month', moved_on) as date)
union all
select distinct
    'bonus_source' as word_kind,
    instance,
    cast(null as date) as month_start,
    'kept' as fingerprint
from {{ ref('int_bonus_movement') }}
union all
select
    'month' as word_kind,
    instance,
    month_start,
    concat_ws(
        ':',
        cast(month_start + interval '1 month' as date) <= {{ as_of() }},
        {{ as_of() }} < cast(month_start + interval '1 month' as date) + {{ var('month_close_days') }}
    ) as fingerprint
from months
