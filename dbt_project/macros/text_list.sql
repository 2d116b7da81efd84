{#- A list from vars as an SQL array of text: where kind = any({{ text_list('phone_contact_kinds') }}) -#}
{% macro text_list(var_name) -%}
    cast(array[{% for value in var(var_name) %}'{{ value }}'{% if not loop.last %}, {% endif %}{% endfor %}] as text [])
{%- endmacro %}
