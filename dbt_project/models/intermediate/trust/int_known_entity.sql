-- Which kinds of records a source can tell of. Where is_known is false, or there is no row, an empty table means
-- "not known" and never zero.
with mapped as (
    select * from {{ ref('stg_ops__mapped_entity') }}
),

last_reads as (
    select distinct on (instance, entity)
        instance,
        entity,
        coalesce(published, true) as is_published,
        finished_at
    from {{ ref('stg_ops__load_run') }}
    where status = 'done' and mode <> 'reland'
    order by instance, entity, load_id desc
)

select
    mapped.instance,
    mapped.entity,
    coalesce(last_reads.is_published, false) as is_known,
    -- Never read yet is not the same as not published.
    last_reads.instance is not null and not last_reads.is_published as is_unpublished,
    last_reads.finished_at as asked_at
from mapped
left join last_reads on mapped.instance = last_reads.instance and mapped.entity = last_reads.entity
