{{
    config(
        materialized='table',
        indexes=[{'columns': ['crm_instance', 'entity_kind', 'entity_id']}, {'columns': ['instance', 'client_id']}],
        post_hook='{{ analyze_this() }}'
    )
}}

-- Who a card of the CRM may be: each client of 1C that shares a sign with it, the best first. A client that a person has
-- named is the only one. What many clients share (a mall's address, the name "Продукты") tells nothing.
{%- set methods = var('identity_methods') %}
with cards as (
    select * from {{ ref('int_crm_card') }}
),

crm_signs as (
    select * from {{ ref('int_crm_sign') }}
),

onec_signs as (
    select * from {{ ref('int_onec_sign') }}
),

likeness as (
    select * from {{ ref('stg_ops__name_likeness') }}
),

-- Which method counts how much, the strongest first.
methods as (
    {%- for row in methods %}
    {{ 'union all ' if not loop.first }}select
        '{{ row['method'] }}' as method,
        cast('{{ row['confidence'] }}' as numeric) as confidence,
        cast({{ 2 ** (methods | length - loop.index) }} as numeric) as weight
    {%- endfor %}
),

redirects as (
    select * from {{ ref('stg_crm__redirect') }}
    where entity_kind = 'company'
),

-- The last word of people about a card; it follows the card when the card is merged.
manual as (
    select distinct on (cards.crm_instance, cards.entity_id)
        cards.crm_instance,
        cards.entity_id,
        upper(btrim(rows_filled.client_code)) as client_code,
        rows_filled.valid_from
    from {{ ref('stg_reference__client_identity') }} as rows_filled
    left join redirects
        on
            rows_filled.company = redirects.old_id
            and coalesce(rows_filled.instance, redirects.instance) = redirects.instance
    inner join cards
        on
            cards.entity_kind = 'company'
            and coalesce(redirects.new_id, rows_filled.company) = cards.entity_id
            and coalesce(rows_filled.instance, redirects.instance, cards.crm_instance) = cards.crm_instance
    where rows_filled.valid_from <= {{ as_of() }} and coalesce(rows_filled.valid_to, 'infinity') >= {{ as_of() }}
    order by cards.crm_instance, cards.entity_id, rows_filled.valid_from desc, rows_filled.row_no desc
),

telling as (
    select
        method,
        key,
        instance
    from onec_signs
    group by method, key, instance
    having count(distinct client_id) <= {{ var('identity_common_sign_clients') }}
),

usable as (
    select onec_signs.*
    from onec_signs
    inner join telling
        on
            onec_signs.method = telling.method
            and onec_signs.key = telling.key
            and onec_signs.instance = telling.instance
),

shared as (
    select
        crm_signs.crm_instance,
        crm_signs.entity_kind,
        crm_signs.entity_id,
        crm_signs.method,
        usable.instance,
        usable.client_id,
        usable.former_client_id,
        usable.outlet_id,
        usable.legal_entity_id
    from crm_signs
    inner join usable
        on replace(crm_signs.method, 'contact_', '') = usable.method and crm_signs.key = usable.key
    union all
    select
        crm_signs.crm_instance,
        crm_signs.entity_kind,
        crm_signs.entity_id,
        'name_like' as method,
        usable.instance,
        usable.client_id,
        usable.former_client_id,
        usable.outlet_id,
        usable.legal_entity_id
    from crm_signs
    inner join likeness
        on
            crm_signs.key = likeness.crm_name
            and likeness.likeness >= {{ var('identity_name_likeness') }}
    inner join usable on likeness.onec_name = usable.key and usable.method = 'name'
    where crm_signs.method = 'name'
),

-- A sign of the client as a whole against a sign of one outlet only.
by_method as (
    select
        crm_instance,
        entity_kind,
        entity_id,
        instance,
        client_id,
        method,
        min(former_client_id) as former_client_id,
        min(legal_entity_id) filter (where method in ('inn', 'inn_kpp')) as legal_entity_id,
        bool_or(
            method in ('inn', 'inn_kpp')
            or (method in ('onec_code', 'name') and (outlet_id is null or legal_entity_id is not null))
        ) as tells_whole_client,
        min(outlet_id) as first_outlet_id,
        max(outlet_id) as last_outlet_id
    from shared
    group by crm_instance, entity_kind, entity_id, instance, client_id, method
),

found as (
    select
        by_method.crm_instance,
        by_method.entity_kind,
        by_method.entity_id,
        by_method.instance,
        by_method.client_id,
        min(by_method.former_client_id) as former_client_id,
        min(by_method.legal_entity_id) as legal_entity_id,
        case
            when
                not bool_or(by_method.tells_whole_client)
                and min(by_method.first_outlet_id) = max(by_method.last_outlet_id)
                then min(by_method.first_outlet_id)
        end as outlet_id,
        bool_or(by_method.method in ('inn', 'inn_kpp')) as has_inn,
        sum(methods.weight) as weight,
        (array_agg(by_method.method order by methods.weight desc))[1] as method,
        string_agg(by_method.method, ', ' order by methods.weight desc) as methods,
        round(1 - exp(sum(ln(1 - methods.confidence))), 4) as confidence,
        cast(null as date) as said_on
    from by_method
    inner join methods on by_method.method = methods.method
    left join manual
        on
            by_method.entity_kind = 'company'
            and by_method.crm_instance = manual.crm_instance
            and by_method.entity_id = manual.entity_id
    where manual.entity_id is null
    group by
        by_method.crm_instance, by_method.entity_kind, by_method.entity_id, by_method.instance, by_method.client_id
),

named as (
    select
        manual.crm_instance,
        'company' as entity_kind,
        manual.entity_id,
        onec_signs.instance,
        onec_signs.client_id,
        min(onec_signs.former_client_id) as former_client_id,
        cast(null as text) as legal_entity_id,
        min(onec_signs.outlet_id) as outlet_id,
        false as has_inn,
        cast(1 as numeric) as weight,
        'manual' as method,
        'manual' as methods,
        cast(1 as numeric) as confidence,
        min(manual.valid_from) as said_on
    from manual
    inner join onec_signs on manual.client_code = onec_signs.key and onec_signs.method = 'onec_code'
    group by manual.crm_instance, manual.entity_id, onec_signs.instance, onec_signs.client_id
),

candidates as (
    select * from found
    union all
    select * from named
),

-- One card may be a client in each of several bases of 1C: it is judged base by base.
ranked as (
    select
        candidates.*,
        row_number() over best_first as place,
        max(candidates.weight) over of_card as best_weight,
        count(*) over of_equals as equals_total,
        bool_or(candidates.has_inn) over of_card as any_has_inn,
        first_value(candidates.has_inn) over best_first as best_has_inn
    from candidates
    window
        of_card as (
            partition by candidates.crm_instance, candidates.entity_kind, candidates.entity_id, candidates.instance
        ),
        of_equals as (
            partition by
                candidates.crm_instance, candidates.entity_kind, candidates.entity_id, candidates.instance, candidates.weight
        ),
        best_first as (
            partition by candidates.crm_instance, candidates.entity_kind, candidates.entity_id, candidates.instance
            order by candidates.weight desc, candidates.client_id asc
        )
)

select
    crm_instance,
    entity_kind,
    entity_id,
    instance,
    client_id,
    former_client_id,
    outlet_id,
    legal_entity_id,
    method,
    methods,
    confidence,
    weight,
    said_on,
    place,
    case
        -- The code names one client and the ИНН another, or nothing tells the best two apart.
        when any_has_inn and not best_has_inn and place = 1 then 'signs_disagree'
        when any_has_inn and not best_has_inn and has_inn then 'signs_disagree'
        when weight = best_weight and equals_total > 1 then 'several_clients'
        when place > 1 then 'another_is_better'
        when confidence < {{ var('identity_min_confidence') }} then 'weak'
        else 'linked'
    end as verdict
from ranked
