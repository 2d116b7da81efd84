with documents as (
    select * from {{ source('onec', 'onec_bonus_movement') }}
),

movements as (
    select * from {{ source('onec', 'onec_bonus_movement_line') }}
)

select
    movements.instance,
    movements.record_id as recorder_id,
    documents.recorder_type,
    movements.line_no,
    movements.moved_at,
    coalesce(movements.active, true) as active,
    movements.movement_kind,
    movements.partner_id,
    movements.legal_entity_id,
    movements.programme_id,
    movements.card_id,
    movements.accrued,
    movements.to_write_off,
    documents.deleted_at is not null as is_deleted,
    documents.loaded_at,
    movements.load_id
from movements
inner join documents on movements.instance = documents.instance and movements.record_id = documents.record_id
