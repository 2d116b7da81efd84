{{ config(indexes=[{'columns': ['instance', 'rule_id', 'manager_id']}]) }}

-- What the calls bring, told from what would have come anyway: rows of the list against rows held out of it by chance.
-- Everybody counts as assigned, called or not; amounts are capped at what the row was worth. The interval is Welch's, with
-- the quantile of Student's distribution by its usual expansion; none where a group has fewer than two rows.
with assigned as (
    select
        instance,
        rule_id,
        manager_id,
        is_holdout,
        came_amount
    from {{ ref('follow_up_outcome') }}
    where is_complete and is_assigned
),

moments as (
    select
        instance,
        rule_id,
        manager_id,
        count(*) filter (where not is_holdout) as told_rows,
        count(*) filter (where is_holdout) as held_rows,
        avg(came_amount) filter (where not is_holdout) as told_mean,
        avg(came_amount) filter (where is_holdout) as held_mean,
        var_samp(came_amount) filter (where not is_holdout) as told_variance,
        var_samp(came_amount) filter (where is_holdout) as held_variance
    from assigned
    group by grouping sets ((instance), (instance, rule_id), (instance, manager_id), (instance, rule_id, manager_id))
),

errors as (
    select
        *,
        told_mean - held_mean as lift,
        told_variance / told_rows as told_error,
        held_variance / nullif(held_rows, 0) as held_error
    from moments
    where told_rows > 0
),

freedom as (
    select
        *,
        sqrt(told_error + held_error) as standard_error,
        (told_error + held_error) ^ 2
        / nullif(told_error ^ 2 / nullif(told_rows - 1, 0) + held_error ^ 2 / nullif(held_rows - 1, 0), 0) as degrees
    from errors
),

quantiles as (
    select
        *,
        1.959964
        + (1.959964 ^ 3 + 1.959964) / (4 * degrees)
        + (5 * 1.959964 ^ 5 + 16 * 1.959964 ^ 3 + 3 * 1.959964) / (96 * degrees ^ 2) as quantile
    from freedom
)

select
    {{ as_of() }} as as_of,
    instance,
    coalesce(rule_id, 'all') as rule_id,
    coalesce(manager_id, 'all') as manager_id,
    cast(told_rows as integer) as told_rows,
    cast(held_rows as integer) as held_rows,
    cast(told_mean as numeric(18, 2)) as told_mean_amount,
    cast(held_mean as numeric(18, 2)) as self_cured_mean_amount,
    cast(lift as numeric(18, 2)) as lift_per_row,
    cast(lift - quantile * standard_error as numeric(18, 2)) as lift_low,
    cast(lift + quantile * standard_error as numeric(18, 2)) as lift_high,
    cast(lift * told_rows as numeric(18, 2)) as recovered_amount,
    cast((lift - quantile * standard_error) * told_rows as numeric(18, 2)) as recovered_low,
    cast((lift + quantile * standard_error) * told_rows as numeric(18, 2)) as recovered_high
from quantiles
