-- A payment is one document, whatever it was paid by.
{% for channel in ['bank', 'cash', 'card'] %}
select
    instance,
    record_id as payment_id,
    '{{ channel }}' as payment_channel,
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
    {% if channel == 'bank' %}
    bank_confirmed,
    bank_confirmed_on,
    {% else %}
    cast(null as boolean) as bank_confirmed,
    cast(null as date) as bank_confirmed_on,
    {% endif %}
    comment,
    deleted_at,
    deleted_at is not null as is_deleted,
    loaded_at,
    load_id,
    row_hash
from {{ source('onec', 'onec_' ~ channel ~ '_receipt') }}
{{ 'union all' if not loop.last }}
{% endfor %}
