-- Around each rep on the business date: how many calls he can make, who stands in for him while he is away, and who hears of
-- rows that stay unanswered. People write names; a name that several reps share means the first of them that is active.
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
)

-- A row meant for one source goes before a row for all.
select distinct on (managers.instance, managers.manager_id)
    managers.instance,
    managers.manager_id,
    cast(capacity.calls_per_day as integer) as calls_per_day,
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
