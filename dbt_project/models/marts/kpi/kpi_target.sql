{{ config(indexes=[{'columns': ['metric']}]) }}

-- Targets: rows that people filled, and the example sets that are switched on. Where both speak, people do.
with filled as (
    select
        'reference' as target_set,
        instance,
        metric,
        segment,
        value,
        coalesce(is_lower_better, false) as is_lower_better,
        valid_from,
        coalesce(valid_to, cast('9999-12-31' as date)) as valid_to
    from {{ ref('stg_reference__target') }}
),

examples as (
    select
        target_set,
        cast(null as text) as instance,
        metric,
        nullif(segment, '') as segment,
        value,
        is_lower_better,
        valid_from,
        coalesce(valid_to, cast('9999-12-31' as date)) as valid_to
    from {{ ref('kpi_target_example') }}
    where target_set = any({{ text_list('target_sets') }})
)

select
    target_set,
    instance,
    metric,
    segment,
    cast(value as numeric(24, 4)) as value,
    is_lower_better,
    valid_from as valid_from_day,
    valid_to as valid_to_day
from filled
union all
select
    target_set,
    instance,
    metric,
    segment,
    cast(value as numeric(24, 4)) as value,
    is_lower_better,
    valid_from as valid_from_day,
    valid_to as valid_to_day
from examples
