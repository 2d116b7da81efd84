-- Around each rep on the business date: how many calls he can make, who stands in for him while he is away or gone (his
-- deputy, else his supervisor), and who hears of rows that stay unanswered. Who is away himself stands in for nobody.
-- People write names; a name that several reps share means the first of them that is active.
with managers as (
    select
        instance,
        manager_id,
        name,
        coalesce(inactive, false) or deletion_mark or is_deleted as is_gone
    from {{ ref('stg_onec__manager') }}
),

named as (
    select distinct on (instance, lower(btrim(name)))
        instance,
        lower(btrim(name)) as name_key,
        manager_id
    from managers
    where not is_gone
    order by instance, lower(btrim(name)), manager_id
),

capacity as (
    select * from {{ ref('stg_reference__rep_capacity') }}
    where {{ as_of() }} between valid_from and coalesce(valid_to, date '9999-12-31')
),

absences as (
    select * from {{ ref('stg_reference__rep_absence') }}
    where {{ as_of() }} between valid_from and valid_to
),

supervisors as (
    select * from {{ ref('stg_reference__rep_supervisor') }}
    where {{ as_of() }} between valid_from and coalesce(valid_to, date '9999-12-31')
),

away as (
    select distinct
        managers.instance,
        managers.manager_id
    from managers
    inner join absences
        on
            lower(btrim(managers.name)) = lower(btrim(absences.manager))
            and coalesce(absences.instance, managers.instance) = managers.instance
),

-- A row meant for one source goes before a row for all.
teams as (
    select distinct on (managers.instance, managers.manager_id)
        managers.instance,
        managers.manager_id,
        managers.is_gone or absences.row_no is not null as is_away,
        capacity.calls_per_day,
        deputies.manager_id as deputy_id,
        chiefs.manager_id as supervisor_id
    from managers
    left join capacity
        on
            lower(btrim(managers.name)) = lower(btrim(capacity.manager))
            and coalesce(capacity.instance, managers.instance) = managers.instance
    left join absences
        on
            lower(btrim(managers.name)) = lower(btrim(absences.manager))
            and coalesce(absences.instance, managers.instance) = managers.instance
    left join supervisors
        on
            lower(btrim(managers.name)) = lower(btrim(supervisors.manager))
            and coalesce(supervisors.instance, managers.instance) = managers.instance
    left join named as deputies
        on managers.instance = deputies.instance and lower(btrim(absences.deputy)) = deputies.name_key
    left join named as chiefs
        on managers.instance = chiefs.instance and lower(btrim(supervisors.supervisor)) = chiefs.name_key
    order by
        managers.instance, managers.manager_id,
        capacity.instance nulls last, absences.instance nulls last, supervisors.instance nulls last,
        capacity.row_no, absences.row_no, supervisors.row_no
)

select
    teams.instance,
    teams.manager_id,
    cast(teams.calls_per_day as integer) as calls_per_day,
    case
        when not teams.is_away then null
        when teams.deputy_id is not null and deputy_away.manager_id is null then teams.deputy_id
        when chief_away.manager_id is null then teams.supervisor_id
    end as deputy_id,
    case when chief_away.manager_id is null then teams.supervisor_id end as supervisor_id
from teams
left join away as deputy_away on teams.instance = deputy_away.instance and teams.deputy_id = deputy_away.manager_id
left join away as chief_away on teams.instance = chief_away.instance and teams.supervisor_id = chief_away.manager_id
