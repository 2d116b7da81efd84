with recursive {{ crm_redirects() }},

source as (
    {{ crm_union('lead', [
        'name', 'pipeline_id', 'stage_id', 'semantics', 'person_name', 'company_name',
        'company_id', 'contact_id', 'deal_id', 'owner_id', 'origin', 'amount',
        'currency', 'created_at', 'closed_at', 'custom'
    ]) }}
),

stage as (
    {{ crm_union('stage', ['semantics']) }}
)

select
    source.crm,
    source.instance,
    source.record_id as lead_id,
    source.name,
    source.pipeline_id,
    source.stage_id,
    coalesce(source.semantics, stage.semantics, 'open') as semantics,
    source.person_name,
    source.company_name,
    coalesce(company_redirect.new_id, source.company_id) as company_id,
    coalesce(contact_redirect.new_id, source.contact_id) as contact_id,
    coalesce(deal_redirect.new_id, source.deal_id) as deal_id,
    source.owner_id,
    source.origin,
    source.amount,
    source.currency,
    source.created_at,
    source.closed_at,
    source.custom,
    source.modified_at,
    source.loaded_at,
    source.load_id
from source
left join stage
    on
        source.crm = stage.crm
        and source.instance = stage.instance
        and source.stage_id = stage.record_id
left join redirect as company_redirect
    on
        source.instance = company_redirect.instance
        and company_redirect.entity = 'company'
        and source.company_id = company_redirect.old_id
left join redirect as contact_redirect
    on
        source.instance = contact_redirect.instance
        and contact_redirect.entity = 'contact'
        and source.contact_id = contact_redirect.old_id
left join redirect as deal_redirect
    on
        source.instance = deal_redirect.instance
        and deal_redirect.entity = 'deal'
        and source.deal_id = deal_redirect.old_id
