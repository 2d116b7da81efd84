{{ config(indexes=[{'columns': ['instance', 'rule_id', 'manager_id']}]) }}

-- How often a reason was worth its call, over the rows told in the last weeks whose time is over. Right: the call brought
-- something, or the rep has spoken with the client and the row was no false alarm. Wrong: it came by itself, or the rep says
-- that the row should not have been there. Unknown: nobody has said anything and nothing came.
with told as (
    select
        instance,
        rule_id,
        coalesce(manager_id, 'none') as manager_id,
        came_amount,
        is_self_cured or is_false_alarm as is_wrong,
        coalesce(outcome, 'no_answer') = 'no_answer' and came_amount = 0 as is_silent
    from {{ ref('follow_up_outcome') }}
    where is_told and is_complete and as_of >= {{ as_of() }} - {{ var('precision_days') }}
),

judged as (
    select
        *,
        case when is_wrong then 'wrong' when is_silent then 'unknown' else 'right' end as verdict
    from told
),

counted as (
    select
        instance,
        rule_id,
        manager_id,
        count(*) as told_rows,
        count(*) filter (where verdict = 'right') as right_rows,
        count(*) filter (where verdict = 'wrong') as wrong_rows,
        count(*) filter (where verdict = 'unknown') as unknown_rows,
        coalesce(sum(came_amount) filter (where verdict = 'right'), 0) as came_amount
    from judged
    group by grouping sets ((instance), (instance, rule_id), (instance, manager_id), (instance, rule_id, manager_id))
)

select
    {{ as_of() }} as as_of,
    instance,
    coalesce(rule_id, 'all') as rule_id,
    coalesce(manager_id, 'all') as manager_id,
    cast(told_rows as integer) as told_rows,
    cast(right_rows as integer) as right_rows,
    cast(wrong_rows as integer) as wrong_rows,
    cast(unknown_rows as integer) as unknown_rows,
    cast(round(100.0 * right_rows / nullif(right_rows + wrong_rows, 0), 1) as numeric(5, 1)) as precision_percent,
    cast(came_amount as numeric(18, 2)) as came_amount
from counted
