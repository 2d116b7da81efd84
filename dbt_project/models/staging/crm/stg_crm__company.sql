with source as (
    {{ crm_union('company', [
        'name', 'kind', 'owner_id', 'inn', 'kpp', 'onec_code',
        'outlet_format', 'order_every_weeks', 'order_weekdays', 'survey_score', 'survey_on', 'industry',
        'city', 'address', 'created_at', 'custom'
    ]) }}
),

requisite as (
    {{ crm_union('requisite', ['company_id', 'inn', 'kpp', 'is_active']) }}
),

-- A card without ИНН may have it in its legal details: the ones in force first, the oldest of them.
legal as (
    select distinct on (crm, instance, company_id)
        crm,
        instance,
        company_id,
        inn,
        kpp
    from requisite
    where nullif(regexp_replace(inn, '\D', '', 'g'), '') is not null
    order by crm, instance, company_id, coalesce(is_active, true) desc, length(record_id), record_id
)

select
    source.crm,
    source.instance,
    source.record_id as company_id,
    source.name,
    source.kind,
    source.owner_id,
    nullif(regexp_replace(coalesce(nullif(source.inn, ''), legal.inn), '\D', '', 'g'), '') as inn,
    nullif(regexp_replace(coalesce(nullif(source.kpp, ''), legal.kpp), '\D', '', 'g'), '') as kpp,
    nullif(trim(source.onec_code), '') as onec_code,
    source.outlet_format,
    source.order_every_weeks,
    source.order_weekdays,
    source.survey_score,
    source.survey_on,
    source.industry,
    source.city,
    source.address,
    source.created_at,
    source.custom,
    source.modified_at,
    source.loaded_at,
    source.load_id
from source
left join legal
    on
        source.crm = legal.crm
        and source.instance = legal.instance
        and source.record_id = legal.company_id
