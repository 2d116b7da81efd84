with field as (
    {{ crm_union('custom_field', ['entity_kind', 'code', 'name']) }}
),

option as (
    {{ crm_union('custom_field_option', ['option_id', 'value'], lines=true) }}
),

record as (
    {%- for entity in ['company', 'contact', 'lead', 'deal'] %}
    select
        '{{ entity }}' as entity_kind,
        {{ entity }}.*
    from (
        {{ crm_union(entity, ['custom']) }}
    ) as {{ entity }}
    where jsonb_typeof({{ entity }}.custom) = 'object'
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

-- One row per value: a field that holds several comes as a list.
value as (
    select
        record.crm,
        record.instance,
        record.entity_kind,
        record.record_id,
        entry.key as code,
        item.ordinality as line_no,
        item.value #>> '{}' as value
    from record
    cross join lateral jsonb_each(record.custom) as entry
    cross join lateral jsonb_array_elements(
        case when jsonb_typeof(entry.value) = 'array' then entry.value else jsonb_build_array(entry.value) end
    ) with ordinality as item
),

named as (
    select
        value.*,
        field.record_id as custom_field_id,
        field.name
    from value
    left join field
        on
            value.crm = field.crm
            and value.instance = field.instance
            and value.entity_kind = field.entity_kind
            and value.code in (field.code, field.record_id)
)

select distinct on (named.crm, named.instance, named.entity_kind, named.record_id, named.code, named.line_no)
    named.crm,
    named.instance,
    named.entity_kind,
    named.record_id as entity_id,
    named.code,
    named.line_no,
    named.name,
    named.value,
    coalesce(option.value, named.value) as shown_value
from named
left join option
    on
        named.crm = option.crm
        and named.instance = option.instance
        and named.custom_field_id = option.record_id
        and named.value = option.option_id
where named.value is not null
order by named.crm, named.instance, named.entity_kind, named.record_id, named.code, named.line_no, option.line_no
