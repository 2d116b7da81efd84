{{
    config(
        materialized='table',
        indexes=[{'columns': ['instance', 'client_id', 'answered_on'], 'unique': true}],
        post_hook='{{ analyze_this() }}'
    )
}}

-- What clients said of us, once per client and day, on the scale of 1 to 5: cards of the CRM, which keep the last answer only,
-- and the table that people fill. An answer without a day, of tomorrow or off its scale does not count.
{%- set lowest, highest = var('crm_survey_lowest'), var('crm_survey_highest') %}
with answers as (
    select
        identities.instance,
        identities.client_id,
        companies.survey_on as answered_on,
        1 + 4.0 * (companies.survey_score - {{ lowest }}) / ({{ highest }} - {{ lowest }}) as score
    from {{ ref('stg_crm__company') }} as companies
    inner join {{ ref('int_crm_client') }} as identities
        on
            companies.instance = identities.crm_instance
            and identities.entity_kind = 'company'
            and companies.company_id = identities.entity_id
    where companies.survey_score between {{ lowest }} and {{ highest }}
    union all
    select
        clients.instance,
        clients.client_id,
        surveys.answered_on,
        surveys.score
    from {{ ref('stg_reference__survey') }} as surveys
    inner join {{ ref('int_client') }} as clients
        on
            upper(btrim(surveys.client_code)) = upper(clients.client_code)
            and coalesce(surveys.instance, clients.instance) = clients.instance
    where surveys.score between 1 and 5
)

select
    instance,
    client_id,
    answered_on,
    cast(avg(score) as numeric(18, 12)) as score
from answers
where answered_on <= {{ as_of() }}
group by instance, client_id, answered_on
