{% for channel in ['bank', 'cash', 'card'] %}
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
from {{ source('onec', 'onec_' ~ channel ~ '_receipt_allocation') }}
{{ 'union all' if not loop.last }}
{% endfor %}
