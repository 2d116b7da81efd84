{{
    config(
        indexes=[
            {'columns': ['instance', 'subject_id', 'transition_no'], 'unique': true},
            {'columns': ['instance', 'client_id']},
            {'columns': ['entered_on']},
        ]
    )
}}

-- The life of each outlet, step by step: prospect, signed, first purchase, new, regular, at risk, lapsed, lost,
-- reactivated. Before the first purchase the client lives in the CRM, from it on in 1C: that is the hand-over. Steps follow
-- from purchases and their rhythm alone, so a past day looks the same whenever it is asked for.
with outlets as (
    select * from {{ ref('int_outlet') }}
),

purchases as (
    select * from {{ ref('int_outlet_purchase') }}
    where purchased_on <= {{ as_of() }}
),

signatures as (
    select * from {{ ref('int_client_signature') }}
    where signed_on <= {{ as_of() }}
),

cards as (
    select * from {{ ref('client_identity') }}
    where entity_kind = 'company' and lives_on_as is null and valid_from <= {{ as_of() }}
),

all_cards as (
    select * from {{ ref('int_crm_card') }}
    where entity_kind = 'company' and created_on <= {{ as_of() }}
),

managers as (
    select * from {{ ref('int_outlet_manager') }}
),

staged as (
    select
        instance,
        outlet_id,
        purchased_on,
        case
            when purchase_no = 1 then 'first'
            when
                purchase_no >= {{ var('min_occasions') }}
                and purchased_on >= first_purchased_on + {{ var('regular_min_days') }}
                then 'regular'
            else 'new'
        end as stage
    from purchases
),

stage_starts as (
    select
        instance,
        outlet_id,
        stage,
        min(purchased_on) as purchased_on
    from staged
    group by instance, outlet_id, stage
),

firsts as (
    select
        instance,
        outlet_id,
        min(purchased_on) as first_on
    from stage_starts
    group by instance, outlet_id
),

histories as (
    select
        instance,
        min(first_on) as history_from
    from firsts
    group by instance
),

steps_of_silence as (
    select * from {{ ref('int_outlet_silence') }}
),

-- Of a thousand purchases in a row few change anything: the first of each stage, and the two after a silence (the second ends
-- the return). The others are the step before them over again.
steps_of_purchase as (
    select
        instance,
        outlet_id,
        stage,
        purchased_on as entered_on,
        'purchase' as reason
    from stage_starts
    union
    select
        steps_of_silence.instance,
        steps_of_silence.outlet_id,
        following.stage,
        following.purchased_on as entered_on,
        'purchase' as reason
    from steps_of_silence
    cross join
        lateral (
            select
                staged.stage,
                staged.purchased_on
            from staged
            where
                staged.instance = steps_of_silence.instance
                and staged.outlet_id = steps_of_silence.outlet_id
                and staged.purchased_on > steps_of_silence.entered_on
            order by staged.purchased_on
            limit 2
        ) as following
),

-- A card of the client speaks for all its outlets, a card of one outlet for that one.
known_to_crm as (
    select
        outlets.instance,
        outlets.outlet_id,
        min(cards.valid_from) as carded_on
    from outlets
    inner join cards
        on
            outlets.instance = cards.instance
            and outlets.client_id = cards.client_id
            and coalesce(cards.outlet_id, outlets.outlet_id) = outlets.outlet_id
    group by outlets.instance, outlets.outlet_id
),

steps_before as (
    select
        known_to_crm.instance,
        known_to_crm.outlet_id,
        'prospect' as stage,
        known_to_crm.carded_on as entered_on,
        'crm_card' as reason
    from known_to_crm
    union all
    select
        outlets.instance,
        outlets.outlet_id,
        'signed' as stage,
        signatures.signed_on as entered_on,
        'contract' as reason
    from outlets
    inner join signatures on outlets.instance = signatures.instance and outlets.client_id = signatures.client_id
),

signatures_of_outlet as (
    select
        instance,
        outlet_id,
        entered_on as signed_on
    from steps_before
    where stage = 'signed'
),

steps as (
    select
        steps_before.instance,
        steps_before.outlet_id,
        steps_before.stage,
        steps_before.entered_on,
        steps_before.reason,
        -- A contract makes more of a prospect than a card, whichever came first on paper.
        case when steps_before.stage = 'signed' then 2 else 1 end as stage_order
    from steps_before
    left join firsts on steps_before.instance = firsts.instance and steps_before.outlet_id = firsts.outlet_id
    left join signatures_of_outlet
        on
            steps_before.instance = signatures_of_outlet.instance
            and steps_before.outlet_id = signatures_of_outlet.outlet_id
    where
        steps_before.entered_on < coalesce(firsts.first_on, 'infinity')
        and (steps_before.stage = 'signed' or steps_before.entered_on < coalesce(signatures_of_outlet.signed_on, 'infinity'))
    union all
    select
        instance,
        outlet_id,
        stage,
        entered_on,
        reason,
        3 as stage_order
    from steps_of_purchase
    union all
    select
        instance,
        outlet_id,
        stage,
        entered_on,
        reason,
        4 as stage_order
    from steps_of_silence
),

after as (
    select
        steps.*,
        lag(stage) over (partition by instance, outlet_id order by entered_on, stage_order) as stage_before
    from steps
),

-- A purchase after a lapse is a return. An order that never became a purchase is none: the outlet is as lapsed as before.
returned as (
    select
        instance,
        outlet_id,
        case when reason = 'purchase' and stage_before in ('lapsed', 'lost') then 'reactivated' else stage end as stage,
        entered_on,
        reason,
        stage_order
    from after
    where stage <> 'at_risk' or coalesce(stage_before, '') not in ('lapsed', 'lost')
),

compared as (
    select
        returned.*,
        lag(stage) over (partition by instance, outlet_id order by entered_on, stage_order) as stage_before
    from returned
),

changes as (
    select
        instance,
        outlet_id as subject_id,
        'outlet' as subject_kind,
        outlet_id,
        stage_before as from_stage,
        stage as to_stage,
        entered_on,
        reason,
        stage_order
    from compared
    where stage is distinct from stage_before
    union all
    -- Those whom 1C has never heard of.
    select
        all_cards.crm_instance as instance,
        all_cards.entity_id as subject_id,
        'crm_company' as subject_kind,
        cast(null as text) as outlet_id,
        cast(null as text) as from_stage,
        'prospect' as to_stage,
        all_cards.created_on as entered_on,
        'crm_card' as reason,
        1 as stage_order
    from all_cards
    left join cards on all_cards.crm_instance = cards.crm_instance and all_cards.entity_id = cards.entity_id
    where cards.entity_id is null
),

numbered as (
    select
        changes.*,
        row_number() over in_time as transition_no,
        lead(changes.entered_on) over in_time as left_on
    from changes
    window in_time as (partition by changes.instance, changes.subject_id order by changes.entered_on, changes.stage_order)
)

select
    numbered.instance,
    numbered.subject_kind,
    numbered.subject_id,
    numbered.outlet_id,
    outlets.client_id,
    cast(numbered.transition_no as integer) as transition_no,
    numbered.from_stage,
    numbered.to_stage,
    numbered.entered_on,
    numbered.left_on,
    coalesce(numbered.left_on, {{ as_of() }}) - numbered.entered_on as days_in_stage,
    numbered.left_on is null as is_current,
    numbered.reason,
    managers.manager_id,
    coalesce(numbered.to_stage = 'first' and known_to_crm.carded_on <= numbered.entered_on, false) as is_handover,
    coalesce(
        numbered.to_stage in ('first', 'new')
        and numbered.entered_on < histories.history_from + {{ var('warm_up_days') }},
        false
    ) as is_undetermined
from numbered
left join outlets on numbered.instance = outlets.instance and numbered.outlet_id = outlets.outlet_id
left join histories on numbered.instance = histories.instance
left join known_to_crm on numbered.instance = known_to_crm.instance and numbered.outlet_id = known_to_crm.outlet_id
left join managers
    on
        numbered.instance = managers.instance
        and numbered.outlet_id = managers.outlet_id
        and numbered.entered_on between managers.valid_from and managers.valid_to
