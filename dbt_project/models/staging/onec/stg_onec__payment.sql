-- A payment is one document, whatever it was paid by.
with bank as (
    select * from {{ source('onec', 'onec_bank_receipt') }}
),

cash as (
    select * from {{ source('onec', 'onec_cash_receipt') }}
),

card as (
    select * from {{ source('onec', 'onec_card_receipt') }}
)

select
    instance,
    record_id as payment_id,
    'bank' as payment_channel,
    number,
    dated_at,
    coalesce(posted, false) as posted,
    coalesce(deletion_mark, false) as deletion_mark,
    organisation_id,
    partner_id,
    legal_entity_id,
    contract_id,
    settlement_object_id,
    currency_id,
    amount,
    operation,
    purpose,
    bank_confirmed,
    bank_confirmed_on,
    comment,
    deleted_at,
    deleted_at is not null as is_deleted,
    loaded_at,
    load_id,
    row_hash
from bank
union all
select
    instance,
    record_id as payment_id,
    'cash' as payment_channel,
    number,
    dated_at,
    coalesce(posted, false) as posted,
    coalesce(deletion_mark, false) as deletion_mark,
    organisation_id,
    partner_id,
    legal_entity_id,
    contract_id,
    settlement_object_id,
    currency_id,
    amount,
    operation,
    purpose,
    cast(null as boolean) as bank_confirmed,
    cast(null as date) as bank_confirmed_on,
    comment,
    deleted_at,
    deleted_at is not null as is_deleted,
    loaded_at,
    load_id,
    row_hash
from cash
union all
select
    instance,
    record_id as payment_id,
    'card' as payment_channel,
    number,
    dated_at,
    coalesce(posted, false) as posted,
    coalesce(deletion_mark, false) as deletion_mark,
    organisation_id,
    partner_id,
    legal_entity_id,
    contract_id,
    settlement_object_id,
    currency_id,
    amount,
    operation,
    purpose,
    cast(null as boolean) as bank_confirmed,
    cast(null as date) as bank_confirmed_on,
    comment,
    deleted_at,
    deleted_at is not null as is_deleted,
    loaded_at,
    load_id,
    row_hash
from card
