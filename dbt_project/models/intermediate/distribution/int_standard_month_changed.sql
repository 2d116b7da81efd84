{{
    config(
        materialized='table',
        indexes=[{'columns': ['instance', 'outlet_id', 'month_start'], 'unique': true}],
        post_hook='{{ analyze_this() }}'
    )
}}

-- depends_on: {{ ref('int_outlet_words_changed') }}
-- depends_on: {{ ref('int_outlet_month_changed') }}
-- depends_on: {{ ref('int_document_changed') }}
-- depends_on: {{ ref('int_must_list') }}
-- depends_on: {{ ref('int_outlet_month') }}
-- Months whose standards are judged anew: of all outlets when the month was not over, or is not on this business date; of an
-- outlet when its orders or sales changed (a must-list looks back over a year), or what is known of it.
{% set built = built_keys('int_outlet_words_built') -%}
{% set outlets = built_relation('intermediate', 'int_standard_outlet') -%}
{% set judged = built_relation('marts', 'outlet_standard') -%}
with months as (
    select
        instances.instance,
        cast(months.month_start as date) as month_start
    from (
        select
            instance,
            min(month_start) as first_month
        from {{ ref('int_outlet_month') }}
        group by instance
    ) as instances
    cross join lateral generate_series(
        instances.first_month, date_trunc('month', {{ as_of() }}), interval '1 month'
    ) as months (month_start)
)

{% if none in [built, outlets, judged] -%}
select
    outlets.instance,
    outlets.outlet_id,
    months.month_start
from {{ ref('int_outlet_words') }} as outlets
inner join months on outlets.instance = months.instance
{%- else -%}
, judged as (
    select
        instance,
        month_start,
        bool_and(is_complete) as is_complete
    from {{ judged }}
    group by instance, month_start
),

-- A month that nobody was judged in yet is open too.
open_months as (
    select
        coalesce(months.instance, judged.instance) as instance,
        coalesce(months.month_start, judged.month_start) as month_start
    from months
    full outer join judged on months.instance = judged.instance and months.month_start = judged.month_start
    where
        judged.month_start is null
        or months.month_start is null
        or not judged.is_complete
        or months.month_start >= date_trunc('month', {{ as_of() }})
),

outlet_months as (
    select
        outlets.instance,
        outlets.outlet_id,
        open_months.month_start
    from {{ ref('int_outlet_words') }} as outlets
    inner join open_months on outlets.instance = open_months.instance
    union
    select
        changed.instance,
        changed.outlet_id,
        known.month_start
    from {{ ref('int_outlet_words_changed') }} as changed
    inner join (
        select
            instance,
            month_start
        from months
        union
        select
            instance,
            month_start
        from judged
    ) as known on changed.instance = known.instance
    union
    select
        orders.instance,
        orders.outlet_id,
        cast(date_trunc('month', orders.ordered_on) as date) as month_start
    from ({{ changed_order_days() }}) as orders
    where orders.ordered_on is not null and orders.outlet_id is not null
    union
    select
        changed.instance,
        changed.outlet_id,
        cast(changed.month_start + later.months * interval '1 month' as date) as month_start
    from {{ ref('int_outlet_month_changed') }} as changed
    cross join lateral generate_series(
        0, (select 12 * least(count(*), 1) from {{ ref('int_must_list') }})
    ) as later (months)
)

select
    instance,
    outlet_id,
    month_start
from outlet_months
where
    month_start <= {{ as_of() }}
    or (instance, month_start) in (
        select
            judged.instance,
            judged.month_start
        from judged
    )
{%- endif %}
