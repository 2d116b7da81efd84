with recursive {{ crm_redirects() }},

source as (
    {{ crm_union('deal', [
        'name', 'pipeline_id', 'stage_id', 'semantics', 'amount', 'currency',
        'company_id', 'contact_id', 'lead_id', 'owner_id', 'origin', 'loss_reason_id',
        'expected_on', 'created_at', 'closed_at', 'custom'
    ]) }}
),

stage as (
    {{ crm_union('stage', ['semantics']) }}
),

loss_reason as (
    {{ crm_union('loss_reason', ['name']) }}
)

select
    source.crm,
    source.instance,
    source.record_id as deal_id,
    source.name,
    source.pipeline_id,
    source.stage_id,
    coalesce(source.semantics, stage.semantics, 'open') as semantics,
    source.amount,
    source.currency,
    coalesce(company_redirect.new_id, source.company_id) as company_id,
    coalesce(contact_redirect.new_id, source.contact_id) as contact_id,
    coalesce(lead_redirect.new_id, source.lead_id) as lead_id,
    source.owner_id,
    source.origin,
    -- A CRM without a dictionary of reasons keeps the words themselves.
    coalesce(loss_reason.name, source.loss_reason_id) as loss_reason,
    source.expected_on,
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
left join loss_reason
    on
        source.crm = loss_reason.crm
        and source.instance = loss_reason.instance
        and source.loss_reason_id = loss_reason.record_id
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
left join redirect as lead_redirect
    on
        source.instance = lead_redirect.instance
        and lead_redirect.entity = 'lead'
        and source.lead_id = lead_redirect.old_id
