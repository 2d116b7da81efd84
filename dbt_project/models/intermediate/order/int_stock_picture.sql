-- The day of which the landed stock speaks: the day it was last read, in the time zone of the base.
select
    coverage.instance,
    cast(min(coverage.covered_until) at time zone min(source_instances.time_zone) as date) as stock_on
from {{ ref('stg_ops__coverage') }} as coverage
inner join {{ ref('stg_ops__source_instance') }} as source_instances on coverage.instance = source_instances.instance
where coverage.entity = 'stock'
group by coverage.instance
