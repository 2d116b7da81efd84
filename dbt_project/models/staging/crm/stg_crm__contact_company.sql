with recursive {{ crm_redirects() }},

source as (
    {{ crm_union('contact_company', [
        'company_id', 'is_primary'
    ], lines=true) }}
)

select
    source.crm,
    source.instance,
    source.record_id as contact_id,
    source.line_no,
    coalesce(company_redirect.new_id, source.company_id) as company_id,
    source.is_primary,
    source.load_id
from source
left join redirect as company_redirect
    on
        source.instance = company_redirect.instance
        and company_redirect.entity = 'company'
        and source.company_id = company_redirect.old_id
