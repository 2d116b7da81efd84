{#-
  What a line of a client's document is: exactly one class per line.
  `line` is the alias of the line, `kind` the product kind, `goods_class` the class of ordinary goods in this document.
-#}
{% macro line_class(line, kind, goods_class) -%}
    case
        when {{ kind }} in ('fee', 'tare') then {{ kind }}
        when coalesce({{ line }}.price, 0) = 0 and coalesce({{ line }}.amount_with_vat, {{ line }}.amount, 0) = 0 then 'free_goods'
        else '{{ goods_class }}'
    end
{%- endmacro %}
