{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        pre_hook='{{ delete_changed_order_days() }}',
        post_hook='{{ analyze_this() }}',
        indexes=[
            {'columns': ['instance', 'outlet_id', 'ordered_on'], 'unique': true},
            {'columns': ['ordered_on']},
            {'columns': ['instance', 'manager_id', 'ordered_on']},
        ]
    )
}}

-- Each occasion against what was expected of it. Strict columns are for reports; `is_..._alert` columns are reasons to call.
with positions as (
    select basket.*
    from {{ ref('int_basket_line') }} as basket
    {% if is_incremental() %}
    inner join {{ ref('int_order_day_changed') }} as changed
        on
            basket.instance = changed.instance
            and basket.outlet_id = changed.outlet_id
            and basket.ordered_on >= changed.changed_from
    {% endif %}
),

occasions as (
    select * from {{ ref('fct_order_occasion') }}
),

missing as (
    select
        instance,
        outlet_id,
        ordered_on,
        sum(missing_amount) as missing_amount,
        sum(missing_amount) filter (where is_alert) as alert_amount,
        bool_or(is_alert) as is_alert
    from {{ ref('order_assortment_gap') }}
    group by instance, outlet_id, ordered_on
),

baskets as (
    select
        instance,
        outlet_id,
        ordered_on,
        max(occasions_before) as occasions_before,
        count(*) filter (where is_agreed) as agreed_positions,
        count(*) filter (where is_agreed and is_taken) as agreed_taken,
        count(*) filter (where is_habitual) as habitual_positions,
        count(*) filter (where is_habitual and is_taken) as habitual_taken,
        count(*) filter (where base_quantity is not null and is_taken) as lines_with_usual,
        count(*) filter (where is_taken and ordered_quantity >= base_quantity) as lines_at_usual,
        count(*) filter (where is_judged) as judged_lines,
        count(*) filter (where is_judged and ordered_quantity < {{ var('reduced_line_share') }} * expected_quantity) as reduced_lines,
        sum(expected_quantity * constant_price) filter (where is_judged) as expected_amount,
        sum(ordered_quantity * constant_price) filter (where is_judged) as judged_amount,
        -- New positions and promotions make up for what the others lack.
        sum(ordered_quantity * constant_price) filter (where is_taken and not is_judged) as other_amount
    from positions
    group by instance, outlet_id, ordered_on
),

measured as (
    select
        *,
        case when agreed_positions > 0 then agreed_positions else habitual_positions end as expected_positions,
        case when agreed_positions > 0 then agreed_taken else habitual_taken end as expected_taken,
        greatest(expected_amount - judged_amount - coalesce(other_amount, 0), 0) as shortfall
    from baskets
)

select
    measured.instance,
    measured.ordered_on,
    measured.outlet_id,
    occasions.client_id,
    occasions.branch_id,
    occasions.manager_id,
    cast(measured.occasions_before as integer) as occasions_before,
    case when measured.agreed_positions > 0 then 'agreed' when measured.habitual_positions > 0 then 'habitual' end
        as assortment_basis,
    cast(measured.agreed_positions as integer) as agreed_positions,
    cast(measured.agreed_taken as integer) as agreed_taken,
    cast(measured.habitual_positions as integer) as habitual_positions,
    cast(measured.habitual_taken as integer) as habitual_taken,
    cast(round(100.0 * measured.expected_taken / nullif(measured.expected_positions, 0), 2) as numeric(5, 2))
        as assortment_fill_percent,
    case when measured.expected_positions > 0 then measured.expected_taken = measured.expected_positions end
        as is_assortment_complete,
    cast(coalesce(missing.missing_amount, 0) as numeric(18, 2)) as missing_amount,
    cast(coalesce(missing.alert_amount, 0) as numeric(18, 2)) as missing_alert_amount,
    coalesce(missing.is_alert, false) as is_assortment_alert,
    cast(measured.lines_with_usual as integer) as lines_with_usual,
    cast(measured.lines_at_usual as integer) as lines_at_usual,
    case when measured.lines_with_usual > 0 then measured.lines_at_usual = measured.lines_with_usual end as is_quantity_kept,
    cast(measured.judged_lines as integer) as judged_lines,
    cast(measured.reduced_lines as integer) as reduced_lines,
    cast(round(measured.expected_amount, 2) as numeric(18, 2)) as expected_amount,
    cast(round(measured.judged_amount + coalesce(measured.other_amount, 0), 2) as numeric(18, 2)) as ordered_amount,
    cast(round(coalesce(measured.shortfall, 0), 2) as numeric(18, 2)) as shortfall_amount,
    coalesce(
        measured.judged_amount + coalesce(measured.other_amount, 0) < {{ var('reduced_basket_share') }} * measured.expected_amount
        and measured.reduced_lines > 0
        and measured.shortfall >= {{ var('reduced_min_shortfall') }},
        false
    ) as is_quantity_alert
from measured
inner join occasions
    on
        measured.instance = occasions.instance
        and measured.outlet_id = occasions.outlet_id
        and measured.ordered_on = occasions.ordered_on
left join missing
    on
        measured.instance = missing.instance
        and measured.outlet_id = missing.outlet_id
        and measured.ordered_on = missing.ordered_on
