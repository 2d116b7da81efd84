{{ config(materialized='table', post_hook='{{ analyze_this() }}') }}

-- Outlets of which something is known now that was not, or not so, when their months and silences were judged.
{% set built = built_keys('int_outlet_words_built') -%}
{% set carried = carried_over('int_outlet_words_changed') -%}
{% if built is none -%}
select
    instance,
    outlet_id
from {{ ref('int_outlet_words') }}
{%- else -%}
with built as (
    select * from {{ built }}
)

select
    coalesce(words.instance, built.instance) as instance,
    coalesce(words.outlet_id, built.outlet_id) as outlet_id
from {{ ref('int_outlet_words') }} as words
full outer join built on words.instance = built.instance and words.outlet_id = built.outlet_id
where coalesce(words.fingerprint, '') <> coalesce(built.fingerprint, '')
{% if carried is not none -%}
union
select
    instance,
    outlet_id
from {{ carried }}
{%- endif %}
{%- endif %}
