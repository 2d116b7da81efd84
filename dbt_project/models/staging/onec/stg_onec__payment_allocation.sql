with bank as (
    select * from {{ source('onec', 'onec_bank_receipt_allocation') }}
),

cash as (
    select * from {{ source('onec', 'onec_cash_receipt_allocation') }}
),

card as (
    select * from {{ source('onec', 'onec_card_receipt_allocation') }}
)

select
    instance,
    record_id as payment_id,
    line_no,
    partner_id,
    contract_id,
    settlement_object_id,
    order_id,
    order_type,
    basis_id,
    basis_type,
    amount,
    vat_amount,
    settlement_amount,
    is_advance,
    load_id
from bank
union all
select
    instance,
    record_id as payment_id,
    line_no,
    partner_id,
    contract_id,
    settlement_object_id,
    order_id,
    order_type,
    basis_id,
    basis_type,
    amount,
    vat_amount,
    settlement_amount,
    is_advance,
    load_id
from cash
union all
select
    instance,
    record_id as payment_id,
    line_no,
    partner_id,
    contract_id,
    settlement_object_id,
    order_id,
    order_type,
    basis_id,
    basis_type,
    amount,
    vat_amount,
    settlement_amount,
    is_advance,
    load_id
from card
