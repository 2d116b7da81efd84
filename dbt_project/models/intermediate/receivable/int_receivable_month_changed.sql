-- From which month on the debt is rolled forward anew.
select
    instance,
    cast(date_trunc('month', min(moved_on)) as date) as month_start
from {{ ref('int_receivable_day_changed') }}
group by instance
