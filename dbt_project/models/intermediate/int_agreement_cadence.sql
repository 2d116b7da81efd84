-- The agreed rhythm of each outlet on the business date: from its own agreement, else from its client's; the newest first.
with outlets as (
    select * from {{ ref('int_outlet') }}
),

agreements as (
    select
        *,
        greatest(coalesce(order_every_weeks, {{ var('default_order_every_weeks') }}), 1) as every_weeks
    from {{ ref('stg_onec__agreement') }}
    where
        not is_deleted
        and not deletion_mark
        and status = any({{ text_list('agreement_statuses_in_force') }})
        and coalesce(valid_from, {{ as_of() }}) <= {{ as_of() }}
        and coalesce(valid_to, {{ as_of() }}) >= {{ as_of() }}
),

weekdays as (
    select
        agreements.instance,
        agreements.agreement_id,
        array_agg(distinct names.iso_weekday order by names.iso_weekday) as iso_weekdays,
        string_agg(distinct names.iso_weekday || names.weekday, ',') as numbered_weekdays
    from agreements
    cross join lateral regexp_split_to_table(lower(agreements.order_weekdays), '[^а-я]+') as said (word)
    inner join (
        values ('пн', 1), ('вт', 2), ('ср', 3), ('чт', 4), ('пт', 5), ('сб', 6), ('вс', 7)
    ) as names (weekday, iso_weekday) on said.word = names.weekday
    group by agreements.instance, agreements.agreement_id
)

select distinct on (outlets.instance, outlets.outlet_id)
    outlets.instance,
    outlets.outlet_id,
    agreements.agreement_id,
    agreements.organisation_id,
    agreements.every_weeks,
    weekdays.iso_weekdays,
    regexp_replace(weekdays.numbered_weekdays, '\d', '', 'g') as weekdays,
    agreements.valid_from,
    agreements.valid_to,
    -- The Monday that weeks are counted from.
    cast(date_trunc('week', coalesce(agreements.valid_from, agreements.agreed_on, date '2001-01-01')) as date) as first_monday,
    round(7.0 * agreements.every_weeks / cardinality(weekdays.iso_weekdays), 2) as cadence_days
from outlets
inner join agreements
    on outlets.instance = agreements.instance and agreements.partner_id in (outlets.partner_id, outlets.client_id)
inner join weekdays
    on agreements.instance = weekdays.instance and agreements.agreement_id = weekdays.agreement_id
order by
    outlets.instance,
    outlets.outlet_id,
    (agreements.partner_id = outlets.partner_id) desc,
    agreements.valid_from desc nulls last,
    agreements.agreement_id
