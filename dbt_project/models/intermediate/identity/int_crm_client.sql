{{
    config(
        materialized='table',
        indexes=[{'columns': ['crm_instance', 'entity_kind', 'entity_id'], 'unique': true}],
        post_hook='{{ analyze_this() }}'
    )
}}

-- The one client that a card or a person of the CRM stands for: where several bases of 1C know it, the surest.
select distinct on (crm_instance, entity_kind, entity_id)
    crm_instance,
    entity_kind,
    entity_id,
    instance,
    client_id,
    outlet_id
from {{ ref('client_identity') }}
order by crm_instance, entity_kind, entity_id, confidence desc, instance
