{{
    config(
        indexes=[
            {'columns': ['crm_instance', 'deal_id', 'stage_id'], 'unique': true},
            {'columns': ['instance', 'client_id']},
        ]
    )
}}

-- Each deal in each stage it has been in. What is not over yet has an age and no duration: averages of durations leave it
-- out, and conversion is counted among those who have had the whole window to move on.
with entries as (
    select * from {{ ref('int_deal_stage_entry') }}
),

deals as (
    select
        deals.*,
        cast(deals.created_at at time zone coalesce(source_instances.time_zone, 'UTC') as date) as created_on,
        cast(deals.closed_at at time zone coalesce(source_instances.time_zone, 'UTC') as date) as closed_on
    from {{ ref('stg_crm__deal') }} as deals
    left join {{ ref('stg_ops__source_instance') }} as source_instances on deals.instance = source_instances.instance
),

pipelines as (
    select * from {{ ref('stg_crm__pipeline') }}
),

users as (
    select * from {{ ref('stg_crm__user') }}
),

who as (
    select * from {{ ref('int_crm_client') }}
),

clients as (
    select * from {{ ref('int_client') }}
),

purchases as (
    select
        outlets.instance,
        outlets.client_id,
        min(purchases.first_purchased_on) as first_purchased_on
    from {{ ref('int_outlet_purchase') }} as purchases
    inner join {{ ref('int_outlet') }} as outlets
        on purchases.instance = outlets.instance and purchases.outlet_id = outlets.outlet_id
    where purchases.purchase_no = 1 and purchases.first_purchased_on <= {{ as_of() }}
    group by outlets.instance, outlets.client_id
),

-- The first time that the deal was further than this stage in the same pipeline; a refusal is no step forward.
followed as (
    select
        here.instance,
        here.deal_id,
        here.stage_id,
        here.changed_at,
        min(ahead.entered_on) as moved_on
    from entries as here
    inner join entries as ahead
        on
            here.instance = ahead.instance
            and here.deal_id = ahead.deal_id
            and here.pipeline_id = ahead.pipeline_id
            and here.stage_sort < ahead.stage_sort
            and here.changed_at < ahead.changed_at
    where ahead.stage_kind <> 'lost'
    group by here.instance, here.deal_id, here.stage_id, here.changed_at
),

visited as (
    select
        instance,
        deal_id,
        stage_id,
        stage_name,
        stage_sort,
        stage_kind,
        pipeline_id,
        deal_kind,
        is_reopened,
        entered_on,
        left_on,
        left_on is null as is_open,
        coalesce(left_on, {{ as_of() }}) - entered_on as days,
        cast(null as date) as moved_on,
        1 as visits
    from entries
    union all
    select
        instance,
        deal_id,
        stage_id,
        null as stage_name,
        null as stage_sort,
        null as stage_kind,
        null as pipeline_id,
        null as deal_kind,
        null as is_reopened,
        null as entered_on,
        null as left_on,
        null as is_open,
        null as days,
        moved_on,
        0 as visits
    from followed
),

by_stage as (
    select
        instance,
        deal_id,
        stage_id,
        min(stage_name) as stage_name,
        min(stage_sort) as stage_sort,
        min(stage_kind) as stage_kind,
        min(pipeline_id) as pipeline_id,
        min(deal_kind) as deal_kind,
        bool_or(is_reopened) as is_reopened,
        sum(visits) as visits,
        min(entered_on) as first_entered_on,
        bool_or(is_open) as is_current,
        max(left_on) as last_left_on,
        sum(days) as days_so_far,
        min(moved_on) as moved_on
    from visited
    group by instance, deal_id, stage_id
)

select
    deals.crm,
    by_stage.instance as crm_instance,
    by_stage.deal_id,
    by_stage.stage_id,
    deals.name as deal_name,
    by_stage.pipeline_id,
    pipelines.name as pipeline_name,
    by_stage.stage_name,
    cast(by_stage.stage_sort as integer) as stage_sort,
    by_stage.stage_kind,
    cast(by_stage.visits as integer) as visits,
    by_stage.first_entered_on,
    case when not by_stage.is_current then by_stage.last_left_on end as last_left_on,
    by_stage.is_current,
    -- A final stage is no waiting, a stage that goes on has no duration yet.
    case when by_stage.stage_kind = 'open' and not by_stage.is_current then cast(by_stage.days_so_far as integer) end
        as days_in_stage,
    case when by_stage.stage_kind = 'open' and by_stage.is_current then cast(by_stage.days_so_far as integer) end
        as age_days,
    by_stage.moved_on is not null as is_passed,
    by_stage.stage_kind = 'open' and by_stage.first_entered_on + {{ var('funnel_window_days') }} <= {{ as_of() }}
        as is_window_complete,
    coalesce(by_stage.moved_on - by_stage.first_entered_on <= {{ var('funnel_window_days') }}, false)
        as is_passed_in_window,
    case
        when by_stage.stage_kind <> 'open' then by_stage.stage_kind
        when by_stage.moved_on is not null then 'moved_on'
        when by_stage.deal_kind = 'lost' then 'lost'
        when by_stage.is_current then 'waiting'
        else 'went_back'
    end as outcome,
    by_stage.deal_kind as deal_outcome,
    by_stage.is_reopened,
    deals.created_on as deal_created_on,
    case when by_stage.deal_kind <> 'open' then deals.closed_on end as deal_closed_on,
    cast(deals.amount as numeric(18, 2)) as amount,
    deals.loss_reason,
    deals.origin,
    deals.owner_id,
    users.name as owner_name,
    deals.company_id,
    who.instance,
    who.client_id,
    clients.channel,
    case when purchases.first_purchased_on >= deals.created_on then purchases.first_purchased_on end as first_shipped_on,
    case when purchases.first_purchased_on >= deals.created_on then purchases.first_purchased_on - deals.created_on end
        as days_to_first_shipment
from by_stage
inner join deals on by_stage.instance = deals.instance and by_stage.deal_id = deals.deal_id
left join pipelines
    on deals.crm = pipelines.crm and by_stage.instance = pipelines.instance and by_stage.pipeline_id = pipelines.pipeline_id
left join users on deals.crm = users.crm and deals.instance = users.instance and deals.owner_id = users.user_id
left join who
    on
        deals.instance = who.crm_instance
        and who.entity_kind = case when deals.company_id is null then 'contact' else 'company' end
        and coalesce(deals.company_id, deals.contact_id) = who.entity_id
left join clients on who.instance = clients.instance and who.client_id = clients.client_id
left join purchases on who.instance = purchases.instance and who.client_id = purchases.client_id
