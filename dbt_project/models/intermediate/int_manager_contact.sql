{{ config(materialized='table', grants={'select': ['polka_sender']}) }}

-- Personal data: read by the sender at the moment of sending, never copied to the marts.
with managers as (
    select * from {{ ref('stg_onec__manager') }}
),

contacts as (
    select * from {{ ref('stg_onec__manager_contact') }}
),

emails as (
    select distinct on (instance, manager_id)
        instance,
        manager_id,
        coalesce(email, value) as email
    from contacts
    where contact_kind = any({{ text_list('email_contact_kinds') }}) or email is not null
    order by instance, manager_id, line_no
),

phones as (
    select distinct on (instance, manager_id)
        instance,
        manager_id,
        coalesce(value, phone) as phone
    from contacts
    where contact_kind = any({{ text_list('phone_contact_kinds') }}) or phone is not null
    order by instance, manager_id, line_no
)

select
    managers.instance,
    managers.manager_id,
    managers.name as manager_name,
    emails.email,
    phones.phone,
    not managers.inactive and not managers.deletion_mark and not managers.is_deleted as is_active
from managers
left join emails on managers.instance = emails.instance and managers.manager_id = emails.manager_id
left join phones on managers.instance = phones.instance and managers.manager_id = phones.manager_id
