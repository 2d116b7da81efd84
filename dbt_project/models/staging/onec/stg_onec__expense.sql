with source as (
    select * from {{ source('onec', 'onec_expense') }}
)

select
    instance,
    record_id as expense_id,
    number,
    dated_at,
    coalesce(posted, false) as posted,
    coalesce(deletion_mark, false) as deletion_mark,
    organisation_id,
    partner_id,
    legal_entity_id,
    department_id,
    currency_id,
    amount,
    price_includes_vat,
    operation,
    comment,
    deleted_at,
    deleted_at is not null as is_deleted,
    loaded_at,
    load_id
from source
