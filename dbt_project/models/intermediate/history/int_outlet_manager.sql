{{
    config(
        materialized='table',
        indexes=[{'columns': ['instance', 'outlet_id', 'valid_from'], 'unique': true}],
        post_hook='{{ analyze_this() }}'
    )
}}

-- Whose an outlet was when. A sale is credited to whoever had the outlet on its day, not to whoever has it now:
-- join with `day between valid_from and valid_to`.
with history as (
    select * from {{ ref('int_outlet_history') }}
),

compared as (
    select
        instance,
        outlet_id,
        client_id,
        manager_id,
        valid_from,
        row_number() over in_time as spell_no,
        lag(manager_id) over in_time as manager_before
    from history
    window in_time as (partition by instance, outlet_id order by valid_from)
)

select
    instance,
    outlet_id,
    client_id,
    manager_id,
    valid_from,
    coalesce(
        lead(valid_from) over (partition by instance, outlet_id order by valid_from) - 1, cast('9999-12-31' as date)
    ) as valid_to
from compared
where spell_no = 1 or manager_id is distinct from manager_before
