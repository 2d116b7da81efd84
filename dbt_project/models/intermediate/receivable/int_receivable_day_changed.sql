{{ config(materialized='table', post_hook='{{ analyze_this() }}') }}

-- depends_on: {{ ref('int_receivable_words') }}
-- depends_on: {{ ref('stg_onec__shipment') }}
-- depends_on: {{ ref('stg_onec__return') }}
-- depends_on: {{ ref('stg_onec__shipment_correction') }}
-- depends_on: {{ ref('stg_onec__payment') }}
-- depends_on: {{ ref('stg_onec__payment_allocation') }}
-- depends_on: {{ ref('stg_ops__source_instance') }}
-- Days whose movements of receivables are written anew: documents changed, or whose a contract or a settlement object is; and
-- the earlier of the business dates now and then, from which on other movements count.
{% set built = built_keys('int_receivable_words_built') -%}
{% set movements = built_relation('intermediate', 'int_receivable_movement') -%}
{% set rollforward = built_relation('marts', 'receivable_rollforward') -%}
{% set carried = carried_over('int_receivable_day_changed') -%}
{% set documents = "('shipment', 'return', 'correction', 'adjustment', 'payment')" -%}
with words as (
    select * from {{ ref('int_receivable_words') }}
)

{% if built is none -%}
select distinct
    instance,
    cast(word_id as date) as moved_on
from words
where word_kind in {{ documents }}
{%- else -%}
, compared as (
    select
        coalesce(words.word_kind, built.word_kind) as word_kind,
        coalesce(words.instance, built.instance) as instance,
        coalesce(words.word_id, built.word_id) as word_id,
        least(words.fingerprint, built.fingerprint) as earlier,
        coalesce(words.fingerprint, '') <> coalesce(built.fingerprint, '') as is_changed
    from words
    full outer join {{ built }} as built
        on
            words.word_kind = built.word_kind
            and words.instance = built.instance
            and words.word_id = built.word_id
),

rules as (
    select distinct instance from compared
    where word_kind = 'rules' and {{ 'true' if none in [movements, rollforward] else 'is_changed' }}
),

parties as (
    select
        word_kind,
        instance,
        word_id
    from compared
    where word_kind in ('contract', 'settlement_object') and is_changed
)

select
    compared.instance,
    cast(compared.word_id as date) as moved_on
from compared
left join rules on compared.instance = rules.instance
where compared.word_kind in {{ documents }} and (compared.is_changed or rules.instance is not null)
union
select
    instance,
    cast(earlier as date) as moved_on
from compared
where word_kind = 'as_of' and is_changed
{% if movements is not none -%}
union
select
    movements.instance,
    movements.moved_on
from parties
inner join {{ movements }} as movements on parties.instance = movements.instance and parties.word_id = movements.contract_id
where parties.word_kind = 'contract'
{% endif -%}
union
select
    documents.instance,
    cast(documents.dated_at at time zone source_instances.time_zone as date) as moved_on
from parties
inner join (
    {% for model in ['stg_onec__shipment', 'stg_onec__return', 'stg_onec__shipment_correction', 'stg_onec__payment'] -%}
    select
        instance,
        settlement_object_id,
        dated_at
    from {{ ref(model) }}
    union all
    {% endfor -%}
    select
        lines.instance,
        lines.settlement_object_id,
        payments.dated_at
    from {{ ref('stg_onec__payment_allocation') }} as lines
    inner join {{ ref('stg_onec__payment') }} as payments
        on lines.instance = payments.instance and lines.payment_id = payments.payment_id
) as documents on parties.instance = documents.instance and parties.word_id = documents.settlement_object_id
inner join {{ ref('stg_ops__source_instance') }} as source_instances on documents.instance = source_instances.instance
where parties.word_kind = 'settlement_object'
{% if carried is not none -%}
union
select
    instance,
    moved_on
from {{ carried }}
{%- endif %}
{%- endif %}
