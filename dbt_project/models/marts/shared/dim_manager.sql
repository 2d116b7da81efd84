{{ config(indexes=[{'columns': ['instance', 'manager_id'], 'unique': true}]) }}

with managers as (
    select * from {{ ref('stg_onec__manager') }}
)

select
    instance,
    manager_id,
    name as manager_name,
    not inactive and not deletion_mark and not is_deleted as is_active
from managers
