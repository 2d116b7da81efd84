{#- One landing table of all CRMs, with the columns in the same order; records that are gone are left out.
    lines: a table of lines, which follow their record. -#}
{% macro crm_union(table, columns, lines=false) -%}
{%- for kind in ['bitrix24', 'amocrm', 'hubspot'] %}
    select
        '{{ kind }}' as crm,
        source.instance,
        source.record_id,
        {%- if lines %}
        source.line_no,
        {%- endif %}
        {%- for column in columns %}
        source.{{ column }},
        {%- endfor %}
        {%- if not lines %}
        source.source_modified_at as modified_at,
        source.loaded_at,
        {%- endif %}
        source.load_id
    from {{ source('crm', kind ~ '_' ~ table) }} as source
    {%- if lines %}
    where exists (
        select 1
        from {{ source('crm', kind ~ '_' ~ crm_parent(table)) }} as parent
        where parent.instance = source.instance and parent.record_id = source.record_id and parent.deleted_at is null
    )
    {%- else %}
    where source.deleted_at is null
    {%- endif %}
    {%- if not loop.last %}
    union all
    {%- endif %}
{%- endfor %}
{%- endmacro %}

{#- The table whose lines these are: `deal_product` belongs to `deal`. -#}
{% macro crm_parent(table) -%}
    {{- 'custom_field' if table == 'custom_field_option' else table.split('_')[0] -}}
{%- endmacro %}
