with source as (
    select * from {{ source('onec', 'onec_bonus_balance') }}
)

select
    instance,
    record_id as row_id,
    partner_id,
    legal_entity_id,
    programme_id,
    card_id,
    accrued,
    to_write_off,
    deleted_at,
    deleted_at is not null as is_deleted,
    loaded_at,
    load_id
from source
