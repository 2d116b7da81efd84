{{ config(materialized='table', post_hook='{{ analyze_this() }}') }}

-- depends_on: {{ ref('int_sale_cost_words') }}
-- depends_on: {{ ref('int_client_month_changed') }}
-- Months whose sales get their cost anew: documents changed, or the cost of a product in this month or an earlier one.
{% set built = built_keys('int_sale_cost_words_built') -%}
with months as (
    select distinct
        instance,
        month_start
    from {{ ref('int_outlet_month') }}
)

{% if built is none -%}
select * from months
{%- else -%}
, first_months as (
    select
        coalesce(words.instance, built.instance) as instance,
        min(least(words.month_start, built.month_start)) as changed_from
    from {{ ref('int_sale_cost_words') }} as words
    full outer join {{ built }} as built
        on
            words.word_kind = built.word_kind
            and words.instance = built.instance
            and case when words.word_kind = 'as_of' then date '0001-01-01' else words.month_start end
            = case when built.word_kind = 'as_of' then date '0001-01-01' else built.month_start end
    where coalesce(words.fingerprint, '') <> coalesce(built.fingerprint, '')
    group by coalesce(words.instance, built.instance)
)

select
    months.instance,
    months.month_start
from months
inner join first_months on months.instance = first_months.instance and months.month_start >= first_months.changed_from
union
select
    instance,
    month_start
from {{ ref('int_client_month_changed') }}
{%- endif %}
