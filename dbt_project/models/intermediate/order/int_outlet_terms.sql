-- What bears on an outlet's next order on the business date: is it closed, when did it open again, on which terms it orders,
-- and when outlets of its format usually place their second order.
with outlets as (
    select
        outlets.*,
        clients.client_code,
        territories.name as territory_name
    from {{ ref('int_outlet') }} as outlets
    left join {{ ref('int_client') }} as clients
        on outlets.instance = clients.instance and outlets.client_id = clients.client_id
    left join {{ ref('stg_onec__business_region') }} as territories
        on outlets.instance = territories.instance and outlets.territory_id = territories.territory_id
),

closures as (
    select
        instance,
        outlet_id,
        min(closure_kind) filter (where {{ as_of() }} between closed_from and closed_to) as closed_by,
        max(closed_to) filter (where {{ as_of() }} between closed_from and closed_to) as closed_until,
        max(closed_to) filter (where closed_to < {{ as_of() }}) + 1 as reopened_on
    from {{ ref('int_outlet_closure') }}
    group by instance, outlet_id
),

terms as (
    select * from {{ ref('stg_reference__order_terms') }}
    where {{ as_of() }} between valid_from and coalesce(valid_to, date 'infinity')
),

own_terms as (
    select distinct on (outlets.instance, outlets.outlet_id)
        outlets.instance,
        outlets.outlet_id,
        terms.delivery_weekdays,
        terms.cut_off_time,
        terms.lead_days
    from outlets
    inner join terms
        on
            coalesce(terms.instance, outlets.instance) = outlets.instance
            and (
                outlets.outlet_code = terms.outlet_code
                or outlets.client_code = terms.client_code
                or outlets.territory_name = terms.territory
            )
    order by
        outlets.instance, outlets.outlet_id,
        case when terms.outlet_code is not null then 1 when terms.client_code is not null then 2 else 3 end
),

first_gaps as (
    select
        instance,
        outlet_id,
        gap_days
    from {{ ref('int_order_turn') }}
    where turn_no = 2 and ordered_on <= {{ as_of() }}
),

second_orders as (
    select
        outlets.instance,
        outlets.outlet_format,
        percentile_disc(0.5) within group (order by first_gaps.gap_days) as median_first_gap_days,
        count(*) as outlets_total
    from first_gaps
    inner join outlets on first_gaps.instance = outlets.instance and first_gaps.outlet_id = outlets.outlet_id
    group by grouping sets ((outlets.instance, outlets.outlet_format), (outlets.instance))
)

select
    outlets.instance,
    outlets.outlet_id,
    closures.closed_by,
    closures.closed_until,
    closures.reopened_on,
    own_terms.delivery_weekdays,
    own_terms.cut_off_time,
    own_terms.lead_days,
    coalesce(of_format.median_first_gap_days, of_all.median_first_gap_days) as median_first_gap_days,
    told.cadence_days as told_cadence_days,
    told.told_on
from outlets
left join {{ ref('int_told_cadence') }} as told on outlets.instance = told.instance and outlets.outlet_id = told.outlet_id
left join closures on outlets.instance = closures.instance and outlets.outlet_id = closures.outlet_id
left join own_terms on outlets.instance = own_terms.instance and outlets.outlet_id = own_terms.outlet_id
left join second_orders as of_format
    on
        outlets.instance = of_format.instance
        and outlets.outlet_format = of_format.outlet_format
        and of_format.outlets_total >= {{ var('min_occasions') }}
left join second_orders as of_all on outlets.instance = of_all.instance and of_all.outlet_format is null
