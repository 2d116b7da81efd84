{#- CTEs of a `with recursive`: every id that was merged away, and the id under which it lives on today, however many
    merges lie between. Where a CRM tells merges in a circle, twenty steps are enough. -#}
{% macro crm_redirects() -%}
redirect_step as (
    select
        instance,
        entity,
        old_id,
        new_id,
        1 as steps
    from {{ source('crm', 'record_redirect') }}
    union all
    select
        redirect_step.instance,
        redirect_step.entity,
        redirect_step.old_id,
        further.new_id,
        redirect_step.steps + 1 as steps
    from redirect_step
    inner join {{ source('crm', 'record_redirect') }} as further
        on
            redirect_step.instance = further.instance
            and redirect_step.entity = further.entity
            and redirect_step.new_id = further.old_id
    where redirect_step.steps < 20
),

redirect as (
    select distinct on (instance, entity, old_id)
        instance,
        entity,
        old_id,
        new_id
    from redirect_step
    order by instance, entity, old_id, steps desc
)
{%- endmacro %}
