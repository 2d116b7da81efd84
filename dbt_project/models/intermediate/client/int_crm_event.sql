-- What happened with a company or a person in the CRM: calls, letters, meetings, tasks, moves of deals and leads. One row per
-- record of the CRM, however many things it is linked to: the company goes before the deal, the deal before the person.
with deals as (
    select * from {{ ref('stg_crm__deal') }}
),

leads as (
    select * from {{ ref('stg_crm__lead') }}
),

contacts as (
    select * from {{ ref('stg_crm__contact') }}
),

activities as (
    select * from {{ ref('stg_crm__activity') }}
),

tasks as (
    select * from {{ ref('stg_crm__task') }}
),

stages as (
    select * from {{ ref('stg_crm__stage') }}
),

links as (
    select
        'activity' as record_kind,
        instance,
        activity_id as record_id,
        line_no,
        linked_kind,
        linked_id
    from {{ ref('stg_crm__activity_link') }}
    union all
    select
        'task' as record_kind,
        instance,
        task_id as record_id,
        line_no,
        linked_kind,
        linked_id
    from {{ ref('stg_crm__task_link') }}
),

resolved as (
    select
        links.record_kind,
        links.instance,
        links.record_id,
        links.line_no,
        links.linked_kind,
        case
            when links.linked_kind = 'company' then links.linked_id
            else coalesce(deals.company_id, leads.company_id, contacts.company_id)
        end as company_id,
        case
            when links.linked_kind = 'contact' then links.linked_id
            else coalesce(deals.contact_id, leads.contact_id)
        end as contact_id
    from links
    left join deals
        on links.linked_kind = 'deal' and links.instance = deals.instance and links.linked_id = deals.deal_id
    left join leads
        on links.linked_kind = 'lead' and links.instance = leads.instance and links.linked_id = leads.lead_id
    left join contacts
        on links.linked_kind = 'contact' and links.instance = contacts.instance and links.linked_id = contacts.contact_id
),

subjects as (
    select distinct on (record_kind, instance, record_id)
        record_kind,
        instance,
        record_id,
        company_id,
        contact_id
    from resolved
    order by
        record_kind, instance, record_id,
        company_id is null,
        case linked_kind when 'company' then 1 when 'deal' then 2 when 'contact' then 3 else 4 end,
        line_no
),

-- A telephone exchange and a person may both log the same call.
talks as (
    select
        coalesce(nullif(activities.kind, ''), 'activity') as event_kind,
        activities.crm,
        activities.instance,
        activities.activity_id as record_id,
        coalesce(activities.started_at, activities.created_at) as event_at,
        subjects.company_id,
        subjects.contact_id,
        activities.responsible_id as owner_id,
        activities.subject as title,
        activities.direction as status,
        row_number() over (
            partition by
                activities.instance, activities.kind, subjects.company_id, subjects.contact_id, activities.direction,
                date_trunc('minute', coalesce(activities.started_at, activities.created_at)), activities.duration_seconds
            order by activities.created_at, length(activities.activity_id), activities.activity_id
        ) > 1
        and activities.kind = 'call'
        and activities.duration_seconds > 0
        and coalesce(subjects.company_id, subjects.contact_id) is not null as is_repeat
    from activities
    left join subjects
        on
            subjects.record_kind = 'activity'
            and activities.instance = subjects.instance
            and activities.activity_id = subjects.record_id
),

moves as (
    select
        history.entity_kind || '_stage' as event_kind,
        history.crm,
        history.instance,
        history.stage_history_id as record_id,
        history.changed_at as event_at,
        coalesce(deals.company_id, leads.company_id) as company_id,
        coalesce(deals.contact_id, leads.contact_id) as contact_id,
        coalesce(history.author_id, deals.owner_id, leads.owner_id) as owner_id,
        coalesce(deals.name, leads.name) as title,
        stages.name as status,
        false as is_repeat
    from {{ ref('stg_crm__stage_history') }} as history
    left join deals
        on history.entity_kind = 'deal' and history.instance = deals.instance and history.entity_id = deals.deal_id
    left join leads
        on history.entity_kind = 'lead' and history.instance = leads.instance and history.entity_id = leads.lead_id
    left join stages
        on history.crm = stages.crm and history.instance = stages.instance and history.to_stage_id = stages.stage_id
)

select * from talks
union all
select
    'task' as event_kind,
    tasks.crm,
    tasks.instance,
    tasks.task_id as record_id,
    tasks.created_at as event_at,
    subjects.company_id,
    subjects.contact_id,
    tasks.responsible_id as owner_id,
    tasks.name as title,
    case
        when tasks.is_completed and tasks.completed_at > tasks.deadline_at then 'done_late'
        when tasks.is_completed then 'done'
        when cast(tasks.deadline_at as date) < {{ as_of() }} then 'overdue'
        else 'open'
    end as status,
    false as is_repeat
from tasks
left join subjects
    on subjects.record_kind = 'task' and tasks.instance = subjects.instance and tasks.task_id = subjects.record_id
union all
select * from moves
