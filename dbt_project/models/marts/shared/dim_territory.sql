{{ config(indexes=[{'columns': ['instance', 'territory_id'], 'unique': true}]) }}

with recursive territories as (
    select * from {{ ref('stg_onec__business_region') }}
),

tree as (
    select
        territory.instance,
        territory.territory_id,
        territory.name as path,
        0 as depth
    from territories as territory
    left join territories as parent
        on territory.instance = parent.instance and territory.parent_id = parent.territory_id
    where parent.territory_id is null
    union all
    select
        child.instance,
        child.territory_id,
        tree.path || ' / ' || child.name as path,
        tree.depth + 1 as depth
    from tree
    inner join territories as child on tree.instance = child.instance and tree.territory_id = child.parent_id
    where tree.depth < 20
)

select
    territories.instance,
    territories.territory_id,
    territories.name as territory_name,
    territories.parent_id as parent_territory_id,
    coalesce(tree.path, territories.name) as territory_path,
    coalesce(tree.depth, 0) + 1 as territory_level,
    territories.deletion_mark or territories.is_deleted as is_withdrawn
from territories
left join tree on territories.instance = tree.instance and territories.territory_id = tree.territory_id
