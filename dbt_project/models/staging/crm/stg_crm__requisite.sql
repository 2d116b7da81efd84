with recursive {{ crm_redirects() }},

source as (
    {{ crm_union('requisite', [
        'company_id', 'name', 'full_name', 'inn', 'kpp', 'ogrn',
        'is_active'
    ]) }}
)

select
    source.crm,
    source.instance,
    source.record_id as requisite_id,
    coalesce(company_redirect.new_id, source.company_id) as company_id,
    source.name,
    source.full_name,
    source.inn,
    source.kpp,
    source.ogrn,
    source.is_active,
    source.modified_at,
    source.loaded_at,
    source.load_id
from source
left join redirect as company_redirect
    on
        source.instance = company_redirect.instance
        and company_redirect.entity = 'company'
        and source.company_id = company_redirect.old_id
