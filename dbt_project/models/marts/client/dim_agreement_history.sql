{{ config(indexes=[{'columns': ['instance', 'agreement_id', 'valid_from'], 'unique': true}, {'columns': ['instance', 'partner_id']}]) }}

with source_instances as (
    select * from {{ ref('stg_ops__source_instance') }}
),

{{ history_of(ref('stg_onec__agreement_version'), 'agreement_id', [
    'number', 'name', 'agreed_on', 'partner_id', 'legal_entity_id', 'organisation_id', 'manager_id',
    'status', 'agreed_from', 'agreed_to', 'order_every_weeks', 'order_weekdays', 'price_type_id',
    'discount_percent', 'deferral_days', 'credit_limit', 'min_order_amount', 'is_withdrawn'
]) }}

select
    instance,
    agreement_id,
    number,
    name,
    agreed_on,
    partner_id,
    legal_entity_id,
    organisation_id,
    manager_id,
    status,
    agreed_from,
    agreed_to,
    cast(order_every_weeks as integer) as order_every_weeks,
    order_weekdays,
    price_type_id,
    cast(discount_percent as numeric(18, 2)) as discount_percent,
    cast(deferral_days as integer) as deferral_days,
    cast(credit_limit as numeric(18, 2)) as credit_limit,
    cast(min_order_amount as numeric(18, 2)) as min_order_amount,
    is_withdrawn,
    valid_from,
    valid_to,
    landed_on as known_since,
    valid_to = '9999-12-31' as is_current
from history
