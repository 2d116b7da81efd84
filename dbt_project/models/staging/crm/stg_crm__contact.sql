with recursive {{ crm_redirects() }},

source as (
    {{ crm_union('contact', [
        'name', 'first_name', 'middle_name', 'last_name', 'position', 'company_id',
        'owner_id', 'birthday', 'consent', 'created_at', 'custom'
    ]) }}
)

select
    source.crm,
    source.instance,
    source.record_id as contact_id,
    source.name,
    source.first_name,
    source.middle_name,
    source.last_name,
    source.position,
    coalesce(company_redirect.new_id, source.company_id) as company_id,
    source.owner_id,
    source.birthday,
    source.consent,
    source.created_at,
    source.custom,
    source.modified_at,
    source.loaded_at,
    source.load_id
from source
left join redirect as company_redirect
    on
        source.instance = company_redirect.instance
        and company_redirect.entity = 'company'
        and source.company_id = company_redirect.old_id
