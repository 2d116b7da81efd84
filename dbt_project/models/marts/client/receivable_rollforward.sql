{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook="{{ delete_from_changed_month('int_receivable_month_changed') }}",
        post_hook='{{ analyze_this() }}',
        indexes=[{'columns': ['instance', 'legal_entity_id', 'contract_id', 'month_start'], 'unique': true}]
    )
}}

-- depends_on: {{ ref('int_receivable_month_changed') }}
-- How the debt of each contract came about, month by month: opening + shipped + corrected - returned - paid - written off = closing.
-- Goes on from the last month before anything changed.
with movements as (
    select
        movements.*,
        cast(date_trunc('month', movements.moved_on) as date) as month_start
    from {{ ref('int_receivable_movement') }} as movements
    {% if is_incremental() -%}
    inner join {{ ref('int_receivable_month_changed') }} as changed
        on movements.instance = changed.instance and movements.moved_on >= changed.month_start
    {%- endif %}
    where movements.moved_on <= {{ as_of() }}
),

months as (
    select
        instance,
        legal_entity_id,
        contract_id,
        month_start,
        coalesce(sum(amount) filter (where movement_kind = 'shipped'), 0) as shipped,
        coalesce(sum(amount) filter (where movement_kind = 'corrected'), 0) as corrected,
        -1 * coalesce(sum(amount) filter (where movement_kind = 'returned'), 0) as returned,
        -1 * coalesce(sum(amount) filter (where movement_kind = 'paid'), 0) as paid,
        -1 * coalesce(sum(amount) filter (where movement_kind = 'adjusted'), 0) as adjusted,
        sum(amount) as change
    from movements
    group by instance, legal_entity_id, contract_id, month_start
),

contracts as (
    select distinct
        instance,
        legal_entity_id,
        contract_id
    from months
),

{% if is_incremental() -%}
before as (
    select
        contracts.instance,
        contracts.legal_entity_id,
        contracts.contract_id,
        last_kept.closing_amount as amount
    from contracts
    cross join
        lateral (
            select kept.closing_amount
            from {{ this }} as kept
            where
                kept.instance = contracts.instance
                and kept.legal_entity_id = contracts.legal_entity_id
                and kept.contract_id = contracts.contract_id
            order by kept.month_start desc
            limit 1
        ) as last_kept
),
{%- else -%}
before as (
    select
        instance,
        legal_entity_id,
        contract_id,
        cast(0 as numeric) as amount
    from contracts
),
{%- endif %}

rolled as (
    select
        months.*,
        coalesce(before.amount, 0) + sum(months.change) over (
            partition by months.instance, months.legal_entity_id, months.contract_id
            order by months.month_start
        ) as closing
    from months
    left join before
        on
            months.instance = before.instance
            and months.legal_entity_id = before.legal_entity_id
            and months.contract_id = before.contract_id
)

select
    instance,
    legal_entity_id,
    contract_id,
    month_start,
    cast(closing - change as numeric(24, 6)) as opening_amount,
    cast(shipped as numeric(24, 6)) as shipped_amount,
    cast(corrected as numeric(24, 6)) as corrected_amount,
    cast(returned as numeric(24, 6)) as returned_amount,
    cast(paid as numeric(24, 6)) as paid_amount,
    cast(adjusted as numeric(24, 6)) as written_off_amount,
    cast(closing as numeric(24, 6)) as closing_amount,
    cast(month_start + interval '1 month' as date) <= {{ as_of() }} as is_complete
from rolled
