{{ config(materialized='table', indexes=[{'columns': ['instance', 'client_id']}], post_hook='{{ analyze_this() }}') }}

-- All reasons of the day that are switched on, without clients whom somebody has just spoken to.
{% set models = [
    'reason_missed_order', 'reason_lapsed', 'reason_overdue_debt', 'reason_missing_assortment', 'reason_reduced_quantity',
    'reason_no_new_positions', 'reason_second_order', 'reason_signed_never_shipped', 'reason_pre_due_reminder',
    'reason_discount_threshold'
] %}
with reasons as (
    {% for model in models %}
    select * from {{ ref(model) }}
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

rests as (
    select * from {{ ref('int_client_rest') }}
)

select
    reasons.*,
    case
        when reasons.reason in ('missed_order', 'lapsed', 'second_order', 'pre_due_reminder', 'signed_never_shipped') then 'order'
        when reasons.reason in ('missing_assortment', 'reduced_quantity') then 'basket'
        else reasons.reason
    end as money_group
from reasons
where
    reasons.reason = any({{ text_list('enabled_reasons') }})
    and not exists (
        select 1
        from rests
        where
            rests.instance = reasons.instance
            and rests.client_id = reasons.client_id
            and (rests.outlet_id is null or rests.outlet_id = reasons.outlet_id)
            and not (rests.is_debt_still_asked and reasons.reason = 'overdue_debt')
    )
