-- When a client signed for the first time: its earliest contract or agreement.
with placed as (
    select
        instance,
        partner_id,
        min(client_id) as client_id
    from {{ ref('int_outlet') }}
    group by instance, partner_id
    union
    select
        instance,
        client_id as partner_id,
        client_id
    from {{ ref('int_client') }}
),

papers as (
    select
        instance,
        partner_id,
        coalesce(agreed_on, valid_from) as signed_on
    from {{ ref('stg_onec__agreement') }}
    where not is_deleted and not deletion_mark and not is_standard
    union all
    select
        instance,
        partner_id,
        coalesce(signed_on, valid_from) as signed_on
    from {{ ref('stg_onec__contract') }}
    where not is_deleted and not deletion_mark
)

select
    placed.instance,
    placed.client_id,
    min(papers.signed_on) as signed_on
from papers
inner join placed on papers.instance = placed.instance and papers.partner_id = placed.partner_id
where papers.signed_on is not null
group by placed.instance, placed.client_id
