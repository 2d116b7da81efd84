-- Each position of an occasion with the quantity expected of it. An order that came early may be smaller in proportion;
-- one that follows a promotion may be smaller as well; a position on promotion is not judged.
with baskets as (
    select
        *,
        case
            when agreed_quantity is not null then agreed_quantity
            when
                occasions_before >= {{ var('habit_min_occasions') }}
                and times_taken >= {{ var('habit_min_purchases') }}
                then usual_quantity
        end as base_quantity,
        coalesce(
            previous_is_promotion and previous_quantity > {{ var('promotion_uplift') }} * usual_quantity, false
        ) as is_after_promotion
    from {{ ref('int_order_basket') }}
)

select
    *,
    case when agreed_quantity is not null then 'agreed' else 'habitual' end as quantity_basis,
    base_quantity is not null and is_taken and not is_promotion and not is_after_promotion as is_judged,
    base_quantity
    * case
        when agreed_quantity is not null or gap_days is null or coalesce(median_gap_days, 0) = 0 then 1
        else least(1, gap_days / median_gap_days)
    end as expected_quantity,
    coalesce(price, previous_price, 0) as constant_price
from baskets
