{#- True for an ИНН of 10 or 12 digits whose check digits are right. Null and everything else: false. -#}
{% macro is_valid_inn(inn) -%}
    case
        when {{ inn }} ~ '^\d{10}$' and {{ inn }} <> '0000000000'
            then {{ inn_check(inn, [2, 4, 10, 3, 5, 9, 4, 6, 8]) }} = cast(substr({{ inn }}, 10, 1) as integer)
        when {{ inn }} ~ '^\d{12}$' and {{ inn }} <> '000000000000'
            then
                {{ inn_check(inn, [7, 2, 4, 10, 3, 5, 9, 4, 6, 8]) }} = cast(substr({{ inn }}, 11, 1) as integer)
                and {{ inn_check(inn, [3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8]) }} = cast(substr({{ inn }}, 12, 1) as integer)
        else false
    end
{%- endmacro %}

{% macro inn_check(inn, weights) -%}
    (
    {%- for weight in weights -%}
        {{ weight }} * cast(substr({{ inn }}, {{ loop.index }}, 1) as integer){{ ' + ' if not loop.last }}
    {%- endfor -%}
    ) % 11 % 10
{%- endmacro %}

{#- An address from its postcode on, letters and digits only: what a CRM writes before it (the city once more) goes. -#}
{% macro address_key(address) -%}
    substring(lower(regexp_replace({{ address }}, '[^[:alnum:]]', '', 'g')) from '\d{6}\D.*$')
{%- endmacro %}
