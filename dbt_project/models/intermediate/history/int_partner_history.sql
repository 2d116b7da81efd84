{{
    config(
        materialized='table',
        indexes=[{'columns': ['instance', 'partner_id', 'valid_from'], 'unique': true}],
        post_hook='{{ analyze_this() }}'
    )
}}

-- What partners were, spell by spell.
with source_instances as (
    select * from {{ ref('stg_ops__source_instance') }}
),

{{ history_of(ref('stg_onec__partner_version'), 'partner_id', [
    'code', 'name', 'parent_id', 'territory_id', 'manager_id', 'outlet_format', 'channel',
    'closed_on', 'strategy_model', 'is_withdrawn'
]) }}

select
    instance,
    partner_id,
    code,
    name,
    parent_id,
    territory_id,
    manager_id,
    outlet_format,
    channel,
    closed_on,
    strategy_model,
    is_withdrawn,
    valid_from,
    valid_to,
    landed_on as known_since
from history
