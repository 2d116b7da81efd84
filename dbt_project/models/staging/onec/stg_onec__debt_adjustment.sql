with source as (
    select * from {{ source('onec', 'onec_debt_adjustment') }}
)

select
    instance,
    record_id as debt_adjustment_id,
    number,
    dated_at,
    coalesce(posted, false) as posted,
    coalesce(deletion_mark, false) as deletion_mark,
    organisation_id,
    partner_id,
    legal_entity_id,
    operation,
    comment,
    deleted_at,
    deleted_at is not null as is_deleted,
    loaded_at,
    load_id,
    row_hash
from source
