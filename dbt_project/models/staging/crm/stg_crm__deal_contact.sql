with recursive {{ crm_redirects() }},

source as (
    {{ crm_union('deal_contact', [
        'contact_id', 'is_primary'
    ], lines=true) }}
)

select
    source.crm,
    source.instance,
    source.record_id as deal_id,
    source.line_no,
    coalesce(contact_redirect.new_id, source.contact_id) as contact_id,
    source.is_primary,
    source.load_id
from source
left join redirect as contact_redirect
    on
        source.instance = contact_redirect.instance
        and contact_redirect.entity = 'contact'
        and source.contact_id = contact_redirect.old_id
