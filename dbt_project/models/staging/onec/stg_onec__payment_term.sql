with agreement_stages as (
    select * from {{ source('onec', 'onec_agreement_payment_stage') }}
),

contract_stages as (
    select * from {{ source('onec', 'onec_contract_payment_stage') }}
),

payment_schedule_stages as (
    select * from {{ source('onec', 'onec_payment_schedule_stage') }}
)

select
    instance,
    'agreement' as owner_kind,
    record_id as owner_id,
    line_no,
    payment_kind,
    percent,
    deferral_days,
    counted_from,
    load_id
from agreement_stages
union all
select
    instance,
    'contract' as owner_kind,
    record_id as owner_id,
    line_no,
    payment_kind,
    percent,
    deferral_days,
    counted_from,
    load_id
from contract_stages
union all
select
    instance,
    'payment_schedule' as owner_kind,
    record_id as owner_id,
    line_no,
    payment_kind,
    percent,
    deferral_days,
    counted_from,
    load_id
from payment_schedule_stages
