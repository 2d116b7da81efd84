{{ config(materialized='table', grants={'select': ['polka_sender']}) }}

-- Personal data: read by the sender at the moment of sending, never copied to the marts.
-- One row per outlet; an outlet without contacts of its own shows those of its client.
with outlets as (
    select * from {{ ref('int_outlet') }}
),

contacts as (
    select * from {{ ref('stg_onec__partner_contact') }}
),

emails as (
    select distinct on (instance, partner_id)
        instance,
        partner_id,
        coalesce(email, value) as email
    from contacts
    where contact_kind = any({{ text_list('email_contact_kinds') }}) or email is not null
    order by instance, partner_id, line_no
),

phones as (
    select distinct on (instance, partner_id)
        instance,
        partner_id,
        coalesce(value, phone) as phone
    from contacts
    where contact_kind = any({{ text_list('phone_contact_kinds') }}) or phone is not null
    order by instance, partner_id, line_no
)

select
    outlets.instance,
    outlets.client_id,
    outlets.outlet_id,
    outlets.outlet_name,
    coalesce(own_phone.phone, client_phone.phone) as phone,
    coalesce(own_email.email, client_email.email) as email
from outlets
left join phones as own_phone
    on outlets.instance = own_phone.instance and outlets.partner_id = own_phone.partner_id
left join phones as client_phone
    on outlets.instance = client_phone.instance and outlets.client_id = client_phone.partner_id
left join emails as own_email
    on outlets.instance = own_email.instance and outlets.partner_id = own_email.partner_id
left join emails as client_email
    on outlets.instance = client_email.instance and outlets.client_id = client_email.partner_id
