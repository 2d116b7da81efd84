{#-
  The outlet a document belongs to, by ops.source_instance.outlet_lives_in.
  `document` is the alias of a document's header, `rule` the column with the rule.
-#}
{% macro outlet_id(document, rule) -%}
    case
        when {{ rule }} = 'delivery_address' and {{ document }}.delivery_address is not null
            then {{ document }}.partner_id || ':' || md5(lower(regexp_replace(btrim({{ document }}.delivery_address), '\s+', ' ', 'g')))
        else {{ document }}.partner_id
    end
{%- endmacro %}
