{{ config(indexes=[{'columns': ['instance', 'client_id'], 'unique': true}, {'columns': ['instance', 'manager_id']}]) }}

-- One card per client: what 1C and the CRM know of it on the business date.
with clients as (
    select * from {{ ref('int_client') }}
),

partners as (
    select * from {{ ref('stg_onec__partner') }}
),

managers as (
    select * from {{ ref('stg_onec__manager') }}
),

territories as (
    select * from {{ ref('stg_onec__business_region') }}
),

outlets as (
    select * from {{ ref('int_outlet') }}
),

signatures as (
    select * from {{ ref('int_client_signature') }}
    where signed_on <= {{ as_of() }}
),

identity as (
    select * from {{ ref('client_identity') }}
),

crm_cards as (
    select
        instance,
        client_id,
        count(*) filter (where entity_kind = 'company' and lives_on_as is null) as cards_total,
        count(*) filter (where entity_kind = 'contact' and lives_on_as is null) as people_total
    from identity
    group by instance, client_id
),

main_cards as (
    select
        identity.instance,
        identity.client_id,
        identity.crm_instance,
        identity.entity_id,
        identity.method,
        identity.confidence,
        companies.owner_id,
        users.name as owner_name,
        companies.survey_score
    from identity
    left join {{ ref('stg_crm__company') }} as companies
        on identity.crm_instance = companies.instance and identity.entity_id = companies.company_id
    left join {{ ref('stg_crm__user') }} as users
        on companies.crm = users.crm and companies.instance = users.instance and companies.owner_id = users.user_id
    where identity.is_main_card and identity.entity_kind = 'company'
),

-- How many people of the client have their birthday soon: a number without names. Its year is of no interest; who was born
-- on 29 February is congratulated on the 28th.
birthdays as (
    select
        people.instance,
        people.client_id,
        count(distinct people.crm_instance || ' ' || people.entity_id) as people_soon
    from identity as people
    inner join {{ ref('stg_crm__contact') }} as contacts
        on people.crm_instance = contacts.instance and people.entity_id = contacts.contact_id
    cross join
        lateral generate_series(
            cast({{ as_of() }} as timestamp), {{ as_of() }} + {{ var('birthday_days') }}, interval '1 day'
        ) as ahead (day)
    where
        people.entity_kind = 'contact'
        and people.lives_on_as is null
        and cast(
            contacts.birthday + make_interval(years => cast(extract(year from ahead.day) - extract(year from contacts.birthday) as integer))
            as date
        ) = cast(ahead.day as date)
    group by people.instance, people.client_id
),

doubts as (
    select
        instance,
        client_id,
        count(*) as doubts_total
    from {{ ref('client_identity_review') }}
    where client_id is not null
    group by instance, client_id
),

talks as (
    select
        who.instance,
        who.client_id,
        max(events.event_at) filter (where events.event_kind in ('call', 'email', 'meeting') and not events.is_repeat)
            as last_talk_at,
        count(*) filter (where events.event_kind = 'task' and events.status in ('open', 'overdue')) as open_tasks,
        count(*) filter (where events.event_kind = 'task' and events.status = 'overdue') as overdue_tasks
    from {{ ref('int_crm_event') }} as events
    inner join {{ ref('int_crm_client') }} as who
        on
            events.instance = who.crm_instance
            and who.entity_kind = case when events.company_id is null then 'contact' else 'company' end
            and coalesce(events.company_id, events.contact_id) = who.entity_id
    where events.event_at < {{ as_of() }} + interval '1 day'
    group by who.instance, who.client_id
),

deals as (
    select
        instance,
        client_id,
        count(*) as open_deals,
        sum(amount) as open_deals_amount
    from {{ ref('crm_funnel') }}
    where is_current and stage_kind = 'open' and client_id is not null
    group by instance, client_id
),

purchases as (
    select
        outlets.instance,
        outlets.client_id,
        min(own.first_on) as first_purchased_on,
        max(own.last_on) as last_purchased_on,
        count(*) filter (where own.last_on > {{ as_of() }} - 30) as active_outlets
    from outlets
    cross join
        lateral (
            select
                min(purchases.purchased_on) as first_on,
                max(purchases.purchased_on) as last_on
            from {{ ref('int_outlet_purchase') }} as purchases
            where
                purchases.instance = outlets.instance
                and purchases.outlet_id = outlets.outlet_id
                and purchases.purchased_on <= {{ as_of() }}
        ) as own
    group by outlets.instance, outlets.client_id
),

money as (
    select
        instance,
        client_id,
        sum(net_amount) filter (where day > {{ as_of() }} - 30) as net_amount_last_month,
        sum(net_amount) filter (where day > {{ as_of() }} - 90) as net_amount_last_quarter,
        sum(net_amount) filter (where day <= {{ as_of() }} - 90 and day > {{ as_of() }} - 180) as net_amount_quarter_before,
        sum(net_amount) as net_amount_last_year,
        sum(returned_amount) filter (where day > {{ as_of() }} - 90) as returned_amount_last_quarter
    from {{ ref('int_client_day') }}
    where day > {{ as_of() }} - 365 and day <= {{ as_of() }}
    group by instance, client_id
),

assortment as (
    select
        outlets.instance,
        outlets.client_id,
        count(distinct sales.sku_id) as positions
    from {{ ref('sales_daily') }} as sales
    inner join outlets on sales.instance = outlets.instance and sales.outlet_id = outlets.outlet_id
    where
        sales.sold_on > {{ as_of() }} - 90
        and sales.sold_on <= {{ as_of() }}
        and sales.kept_units > 0
        and sales.product_kind = 'goods'
    group by outlets.instance, outlets.client_id
),

-- The canonical debts: payments are set off against the shipments of their contract.
debts as (
    select
        instance,
        client_id,
        sum(open_amount) as debt_amount,
        sum(overdue_amount) as overdue_amount,
        sum(unallocated_amount) as prepaid_amount,
        min(oldest_due_on) filter (where overdue_amount > 0) as overdue_since
    from {{ ref('receivable_aging') }}
    where as_of = {{ as_of() }} and client_id is not null
    group by instance, client_id
),

expectations as (
    select
        instance,
        client_id,
        max(last_ordered_on) as last_ordered_on,
        min(next_due_on) filter (where status in ('on_time', 'missed_order')) as next_due_on,
        count(*) filter (where status = 'missed_order') as missed_outlets,
        sum(money_at_risk) as money_at_risk
    from {{ ref('order_expectation') }}
    where as_of = {{ as_of() }}
    group by instance, client_id
),

-- A client is as alive as its most alive outlet.
stages as (
    select
        instance,
        client_id,
        (array_agg(
            to_stage
            order by array_position(
                array['regular', 'reactivated', 'new', 'first', 'at_risk', 'lapsed', 'lost', 'signed', 'prospect'], to_stage
            )
        ))[1] as lifecycle_stage,
        count(*) filter (where to_stage = 'at_risk') as outlets_at_risk,
        count(*) filter (where to_stage in ('lapsed', 'lost')) as outlets_lapsed
    from {{ ref('client_lifecycle') }}
    where is_current and client_id is not null
    group by instance, client_id
),

segments as (
    select distinct on (instance, client_id)
        instance,
        client_id,
        abc_class,
        xyz_class
    from {{ ref('client_segment') }}
    where is_complete
    order by instance, client_id, month_start desc
)

select
    clients.instance,
    clients.client_id,
    clients.client_code,
    clients.client_name,
    clients.channel,
    clients.territory_id,
    territories.name as territory_name,
    clients.manager_id,
    managers.name as manager_name,
    partners.strategy_model,
    segments.abc_class,
    segments.xyz_class,
    stages.lifecycle_stage,
    clients.registered_on,
    clients.closed_on,
    clients.is_withdrawn,
    signatures.signed_on,
    purchases.first_purchased_on,
    case when purchases.first_purchased_on >= signatures.signed_on then purchases.first_purchased_on - signatures.signed_on end
        as days_from_signing,
    signatures.signed_on is not null and purchases.first_purchased_on is null as is_signed_never_shipped,
    expectations.last_ordered_on,
    purchases.last_purchased_on,
    expectations.next_due_on,
    cast(clients.outlets_total as integer) as outlets_total,
    cast(coalesce(purchases.active_outlets, 0) as integer) as active_outlets,
    cast(coalesce(expectations.missed_outlets, 0) as integer) as missed_outlets,
    cast(coalesce(stages.outlets_at_risk, 0) as integer) as outlets_at_risk,
    cast(coalesce(stages.outlets_lapsed, 0) as integer) as outlets_lapsed,
    cast(coalesce(expectations.money_at_risk, 0) as numeric(18, 2)) as money_at_risk,
    cast(coalesce(assortment.positions, 0) as integer) as positions_last_quarter,
    cast(coalesce(money.net_amount_last_month, 0) as numeric(18, 2)) as net_amount_last_month,
    cast(coalesce(money.net_amount_last_quarter, 0) as numeric(18, 2)) as net_amount_last_quarter,
    cast(coalesce(money.net_amount_quarter_before, 0) as numeric(18, 2)) as net_amount_quarter_before,
    cast(coalesce(money.net_amount_last_year, 0) as numeric(18, 2)) as net_amount_last_year,
    cast(coalesce(money.returned_amount_last_quarter, 0) as numeric(18, 2)) as returned_amount_last_quarter,
    cast(coalesce(debts.debt_amount, 0) as numeric(18, 2)) as debt_amount,
    cast(coalesce(debts.overdue_amount, 0) as numeric(18, 2)) as overdue_amount,
    cast(coalesce(debts.prepaid_amount, 0) as numeric(18, 2)) as prepaid_amount,
    {{ as_of() }} - debts.overdue_since as overdue_days,
    main_cards.crm_instance,
    main_cards.entity_id as crm_company_id,
    main_cards.owner_name as crm_owner_name,
    main_cards.method as identity_method,
    main_cards.confidence as identity_confidence,
    cast(coalesce(doubts.doubts_total, 0) as integer) as identity_doubts,
    cast(coalesce(crm_cards.cards_total, 0) as integer) as crm_cards_total,
    cast(coalesce(crm_cards.people_total, 0) as integer) as crm_people_total,
    cast(coalesce(birthdays.people_soon, 0) as integer) as birthdays_soon,
    cast(main_cards.survey_score as integer) as survey_score,
    talks.last_talk_at,
    cast(coalesce(talks.open_tasks, 0) as integer) as open_tasks,
    cast(coalesce(talks.overdue_tasks, 0) as integer) as overdue_tasks,
    cast(coalesce(deals.open_deals, 0) as integer) as open_deals,
    cast(coalesce(deals.open_deals_amount, 0) as numeric(18, 2)) as open_deals_amount
from clients
left join partners on clients.instance = partners.instance and clients.client_id = partners.partner_id
left join managers on clients.instance = managers.instance and clients.manager_id = managers.manager_id
left join territories on clients.instance = territories.instance and clients.territory_id = territories.territory_id
left join signatures on clients.instance = signatures.instance and clients.client_id = signatures.client_id
left join purchases on clients.instance = purchases.instance and clients.client_id = purchases.client_id
left join money on clients.instance = money.instance and clients.client_id = money.client_id
left join assortment on clients.instance = assortment.instance and clients.client_id = assortment.client_id
left join debts on clients.instance = debts.instance and clients.client_id = debts.client_id
left join expectations on clients.instance = expectations.instance and clients.client_id = expectations.client_id
left join stages on clients.instance = stages.instance and clients.client_id = stages.client_id
left join segments on clients.instance = segments.instance and clients.client_id = segments.client_id
left join main_cards on clients.instance = main_cards.instance and clients.client_id = main_cards.client_id
left join crm_cards on clients.instance = crm_cards.instance and clients.client_id = crm_cards.client_id
left join birthdays on clients.instance = birthdays.instance and clients.client_id = birthdays.client_id
left join doubts on clients.instance = doubts.instance and clients.client_id = doubts.client_id
left join talks on clients.instance = talks.instance and clients.client_id = talks.client_id
left join deals on clients.instance = deals.instance and clients.client_id = deals.client_id
