{{ config(materialized='table', post_hook='{{ analyze_this() }}') }}

-- depends_on: {{ ref('int_pnl_words') }}
-- depends_on: {{ ref('int_sale_month_changed') }}
-- Months whose profit is written anew: sales or their cost changed, or expenses, or bonus points, or the month came to an end.
{% set built = built_keys('int_pnl_words_built') -%}
{% set carried = carried_over('int_pnl_month_changed') -%}
with months as (
    select distinct
        instance,
        month_start
    from {{ ref('int_outlet_month') }}
)

{% if built is none -%}
select * from months
union
select
    instance,
    month_start
from {{ ref('int_sale_month_changed') }}
{%- else -%}
, words as (
    select
        coalesce(words.instance, built.instance) as instance,
        coalesce(words.month_start, built.month_start) as month_start
    from {{ ref('int_pnl_words') }} as words
    full outer join {{ built }} as built
        on
            words.word_kind = built.word_kind
            and words.instance = built.instance
            and coalesce(words.month_start, date '0001-01-01') = coalesce(built.month_start, date '0001-01-01')
    where coalesce(words.fingerprint, '') <> coalesce(built.fingerprint, '')
)

select
    instance,
    month_start
from words
where month_start is not null
union
select
    months.instance,
    months.month_start
from months
inner join words on months.instance = words.instance
where words.month_start is null
union
select
    instance,
    month_start
from {{ ref('int_sale_month_changed') }}
{% if carried is not none -%}
union
select
    instance,
    month_start
from {{ carried }}
{%- endif %}
{%- endif %}
