{{ config(indexes=[{'columns': ['instance', 'legal_entity_id', 'valid_from'], 'unique': true}]) }}

with source_instances as (
    select * from {{ ref('stg_ops__source_instance') }}
),

{{ history_of(ref('stg_onec__legal_entity_version'), 'legal_entity_id', [
    'name', 'full_name', 'person_kind', 'inn', 'kpp', 'partner_id', 'head_id', 'is_withdrawn'
]) }}

select
    instance,
    legal_entity_id,
    name,
    full_name,
    person_kind,
    inn,
    kpp,
    partner_id,
    head_id,
    is_withdrawn,
    valid_from,
    valid_to,
    landed_on as known_since,
    valid_to = '9999-12-31' as is_current
from history
