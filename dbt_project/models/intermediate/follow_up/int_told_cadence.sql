-- Another rhythm of orders that a client has told a rep of, by outlet: the latest word counts. It is about the outlets of the
-- row that was answered; of a row without outlets, about all of the client's.
with answers as (
    select
        instance,
        client_id,
        followup_id,
        cadence_days,
        recorded_on,
        recorded_at,
        answer_id
    from {{ ref('stg_ops__follow_up_outcome') }}
    where outcome = 'cadence_changed' and cadence_days is not null and recorded_on <= {{ as_of() }}
),

told as (
    select distinct on (instance, followup_id)
        instance,
        followup_id,
        outlet_ids
    from {{ ref('stg_ops__delivery_ledger') }}
    where jsonb_array_length(outlet_ids) > 0
    order by instance, followup_id, as_of desc, channel
),

outlets as (
    select * from {{ ref('int_outlet') }}
)

select distinct on (outlets.instance, outlets.outlet_id)
    outlets.instance,
    outlets.outlet_id,
    answers.cadence_days,
    answers.recorded_on as told_on
from answers
left join told on answers.instance = told.instance and answers.followup_id = told.followup_id
inner join outlets
    on
        answers.instance = outlets.instance
        and answers.client_id = outlets.client_id
        and (told.outlet_ids is null or told.outlet_ids ? outlets.outlet_id)
order by
    outlets.instance, outlets.outlet_id,
    answers.recorded_on desc, answers.recorded_at desc, answers.answer_id desc
