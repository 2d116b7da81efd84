{{ config(materialized='table', indexes=[{'columns': ['instance', 'deal_id']}], post_hook='{{ analyze_this() }}') }}

-- Each time that a deal entered a stage, by the business date; being moved to where it stands is no entry.
with deals as (
    select * from {{ ref('stg_crm__deal') }}
),

stages as (
    select * from {{ ref('stg_crm__stage') }}
),

source_instances as (
    select * from {{ ref('stg_ops__source_instance') }}
),

dated_deals as (
    select
        deals.crm,
        deals.instance,
        deals.deal_id,
        deals.stage_id,
        deals.created_at,
        coalesce(source_instances.time_zone, 'UTC') as time_zone,
        cast(deals.created_at at time zone coalesce(source_instances.time_zone, 'UTC') as date) as created_on
    from deals
    left join source_instances on deals.instance = source_instances.instance
),

told_moves as (
    select
        deals.crm,
        deals.instance,
        deals.deal_id,
        history.to_stage_id as stage_id,
        history.changed_at,
        history.stage_history_id as move_id,
        cast(history.changed_at at time zone deals.time_zone as date) as moved_on
    from {{ ref('stg_crm__stage_history') }} as history
    inner join dated_deals as deals on history.instance = deals.instance and history.entity_id = deals.deal_id
    where history.entity_kind = 'deal'
),

-- A CRM without a history of this deal tells at least where it is.
moves as (
    select * from told_moves
    where moved_on <= {{ as_of() }}
    union all
    select
        deals.crm,
        deals.instance,
        deals.deal_id,
        deals.stage_id,
        deals.created_at as changed_at,
        '' as move_id,
        deals.created_on as moved_on
    from dated_deals as deals
    left join told_moves on deals.instance = told_moves.instance and deals.deal_id = told_moves.deal_id
    where told_moves.deal_id is null and deals.stage_id is not null and deals.created_on <= {{ as_of() }}
),

compared as (
    select
        moves.*,
        lag(stage_id) over (partition by instance, deal_id order by changed_at, length(move_id), move_id) as stage_before
    from moves
),

entries as (
    select
        compared.crm,
        compared.instance,
        compared.deal_id,
        compared.stage_id,
        compared.changed_at,
        compared.moved_on as entered_on,
        lead(compared.moved_on) over in_time as left_on,
        stages.name as stage_name,
        stages.sort as stage_sort,
        coalesce(stages.semantics, 'open') as stage_kind,
        stages.pipeline_id,
        lag(coalesce(stages.semantics, 'open')) over in_time as kind_before,
        first_value(coalesce(stages.semantics, 'open')) over (
            partition by compared.instance, compared.deal_id
            order by compared.changed_at desc, length(compared.move_id) desc, compared.move_id desc
        ) as deal_kind
    from compared
    left join stages
        on
            compared.crm = stages.crm
            and compared.instance = stages.instance
            and compared.stage_id = stages.stage_id
    where compared.stage_id is distinct from compared.stage_before
    window in_time as (
        partition by compared.instance, compared.deal_id
        order by compared.changed_at, length(compared.move_id), compared.move_id
    )
)

select
    entries.*,
    bool_or(stage_kind = 'open' and coalesce(kind_before, 'open') in ('won', 'lost')) over (partition by instance, deal_id)
        as is_reopened
from entries
