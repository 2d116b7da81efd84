{{ config(materialized='table', indexes=[{'columns': ['instance', 'outlet_id'], 'unique': true}], post_hook='{{ analyze_this() }}') }}

-- What the place of each outlet among all, its standards and its silences rest on besides its documents, as one fingerprint:
-- the outlet itself, its beginnings, what people said of it, the standards, and the rules. With the business date.
{% set rules = definition_of(
    ['int_distribution_universe', 'int_standard_outlet', 'int_refused_sku', 'outlet_standard', 'distribution_qualitative', 'int_outlet_silence']
) -%}
with outlets as (
    select * from {{ ref('int_outlet') }}
),

first_months as (
    select
        instance,
        outlet_id,
        min(month_start) as first_month
    from {{ ref('int_outlet_month') }}
    where positions > 0
    group by instance, outlet_id
),

first_days as (
    select
        instance,
        outlet_id,
        min(outlet_first_on) as first_on
    from {{ ref('int_placement_episode') }}
    group by instance, outlet_id
),

first_gaps as (
    select
        instance,
        outlet_id,
        string_agg(cast(gap_days as text), ',' order by turn_no) as gaps
    from {{ ref('int_order_turn') }}
    where turn_no between 2 and 4
    group by instance, outlet_id
),

cadences as (
    select
        instance,
        outlet_id,
        cadence_days
    from {{ ref('int_agreement_cadence') }}
),

branches as (
    select * from {{ ref('int_outlet_branch') }}
),

said as (
    select
        instance,
        outlet_id,
        concat_ws(':', 'route', valid_from, valid_to) as word
    from {{ ref('int_route') }}
    union all
    select
        instance,
        outlet_id,
        concat_ws(':', 'format', outlet_format, valid_from, valid_to) as word
    from {{ ref('int_outlet_format') }}
    union all
    select
        instance,
        outlet_id,
        concat_ws(':', 'closure', closed_from, closed_to) as word
    from {{ ref('int_outlet_closure') }}
),

words as (
    select
        instance,
        outlet_id,
        string_agg(word, ',' order by word) as words
    from said
    group by instance, outlet_id
),

standards as (
    select concat_ws(':', 'must', to_jsonb(lists)) as word
    from {{ ref('int_must_list') }} as lists
    union all
    select concat_ws(':', 'breadth', to_jsonb(breadths)) as word
    from {{ ref('int_breadth_standard') }} as breadths
    union all
    select concat_ws(':', 'sku', instance, product_id, sku_id) as word
    from {{ ref('int_sku') }}
    where product_id <> sku_id
),

said_of_all as (
    select md5(concat_ws(',', '{{ rules }}', string_agg(word, ',' order by word))) as fingerprint
    from standards
)

select
    outlets.instance,
    outlets.outlet_id,
    {{ as_of() }} as as_of,
    md5(
        cast(
            row(
                outlets.client_id, outlets.territory_id, outlets.manager_id, outlets.outlet_format, outlets.channel,
                outlets.is_withdrawn, outlets.is_inferred, outlets.registered_on, outlets.closed_on,
                branches.branch_id, first_months.first_month, first_days.first_on, first_gaps.gaps, cadences.cadence_days,
                words.words, said_of_all.fingerprint
            ) as text
        )
    ) as fingerprint
from outlets
cross join said_of_all
left join branches on outlets.instance = branches.instance and outlets.outlet_id = branches.outlet_id
left join first_months on outlets.instance = first_months.instance and outlets.outlet_id = first_months.outlet_id
left join first_days on outlets.instance = first_days.instance and outlets.outlet_id = first_days.outlet_id
left join first_gaps on outlets.instance = first_gaps.instance and outlets.outlet_id = first_gaps.outlet_id
left join cadences on outlets.instance = cadences.instance and outlets.outlet_id = cadences.outlet_id
left join words on outlets.instance = words.instance and outlets.outlet_id = words.outlet_id
