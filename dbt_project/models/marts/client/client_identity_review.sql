{{ config(indexes=[{'columns': ['reason']}]) }}

-- What a person has to look at: nothing here was decided silently.
with cards as (
    select * from {{ ref('int_crm_card') }}
),

candidates as (
    select * from {{ ref('int_identity_candidate') }}
),

crm_signs as (
    select * from {{ ref('int_crm_sign') }}
),

onec_signs as (
    select * from {{ ref('int_onec_sign') }}
),

clients as (
    select * from {{ ref('int_client') }}
),

-- Cards of one CRM that speak for the same client as a whole; who has two CRMs has a card in each.
doubles as (
    select
        candidates.*,
        count(*) over (partition by crm_instance, instance, client_id) as cards_total
    from candidates
    where verdict = 'linked' and entity_kind = 'company' and outlet_id is null
),

undecided as (
    select
        crm_instance,
        entity_kind,
        entity_id,
        verdict as reason,
        instance,
        client_id,
        methods,
        confidence,
        false as is_linked
    from candidates
    where verdict in ('several_clients', 'signs_disagree', 'weak')
),

several_cards as (
    select
        crm_instance,
        entity_kind,
        entity_id,
        'several_cards' as reason,
        instance,
        client_id,
        methods,
        confidence,
        true as is_linked
    from doubles
    where cards_total > 1
),

known_inn as (
    select distinct key from onec_signs
    where method = 'inn'
),

-- The card's ИНН is right and 1C has nobody with it: a former legal entity, or one that 1C lacks.
unknown_inn as (
    select
        candidates.crm_instance,
        candidates.entity_kind,
        candidates.entity_id,
        'unknown_inn' as reason,
        candidates.instance,
        candidates.client_id,
        candidates.methods,
        candidates.confidence,
        true as is_linked
    from candidates
    inner join crm_signs
        on
            candidates.crm_instance = crm_signs.crm_instance
            and candidates.entity_kind = crm_signs.entity_kind
            and candidates.entity_id = crm_signs.entity_id
            and crm_signs.method = 'inn'
    left join known_inn on crm_signs.key = known_inn.key
    where candidates.verdict = 'linked'
    group by
        candidates.crm_instance, candidates.entity_kind, candidates.entity_id, candidates.instance, candidates.client_id,
        candidates.methods, candidates.confidence
    having bool_and(known_inn.key is null)
),

wrong_inn as (
    select
        cards.crm_instance,
        cards.entity_kind,
        cards.entity_id,
        'wrong_inn' as reason,
        candidates.instance,
        candidates.client_id,
        candidates.methods,
        candidates.confidence,
        candidates.client_id is not null as is_linked
    from cards
    left join candidates
        on
            cards.crm_instance = candidates.crm_instance
            and cards.entity_kind = candidates.entity_kind
            and cards.entity_id = candidates.entity_id
            and candidates.verdict = 'linked'
    where cards.inn <> '' and not {{ is_valid_inn('cards.inn') }}
),

-- A person named a card or a code that is not there.
unknown_manual as (
    select
        coalesce(rows_filled.instance, '') as crm_instance,
        'company' as entity_kind,
        rows_filled.company as entity_id,
        'manual_unknown' as reason,
        cast(null as text) as instance,
        cast(null as text) as client_id,
        'manual' as methods,
        cast(null as numeric) as confidence,
        false as is_linked
    from {{ ref('stg_reference__client_identity') }} as rows_filled
    left join candidates
        on
            candidates.method = 'manual'
            and rows_filled.company = candidates.entity_id
            and coalesce(rows_filled.instance, candidates.crm_instance) = candidates.crm_instance
    where
        rows_filled.client_code <> ''
        and rows_filled.valid_from <= {{ as_of() }}
        and coalesce(rows_filled.valid_to, 'infinity') >= {{ as_of() }}
    group by rows_filled.instance, rows_filled.company
    having count(candidates.entity_id) = 0
),

everything as (
    select * from undecided
    union all
    select * from several_cards
    union all
    select * from unknown_inn
    union all
    select * from wrong_inn
    union all
    select * from unknown_manual
)

select
    everything.crm_instance,
    everything.entity_kind,
    everything.entity_id,
    cards.card_name,
    everything.reason,
    case everything.reason
        when 'several_clients' then 'Подходят несколько клиентов 1С'
        when 'signs_disagree' then 'Код 1С и ИНН называют разных клиентов'
        when 'weak' then 'Похоже, но доказательств мало'
        when 'several_cards' then 'Несколько карточек одного клиента'
        when 'unknown_inn' then 'ИНН карточки нет в 1С: перерегистрация?'
        when 'wrong_inn' then 'В ИНН опечатка'
        when 'manual_unknown' then 'В таблице соответствий нет такой карточки или кода'
    end as reason_name,
    everything.instance,
    everything.client_id,
    clients.client_code,
    clients.client_name,
    everything.methods,
    cast(everything.confidence as numeric(5, 4)) as confidence,
    everything.is_linked
from everything
left join cards
    on
        everything.crm_instance = cards.crm_instance
        and everything.entity_kind = cards.entity_kind
        and everything.entity_id = cards.entity_id
left join clients on everything.instance = clients.instance and everything.client_id = clients.client_id
