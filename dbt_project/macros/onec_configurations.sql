{#-
  Where the configurations of 1C differ, said once. `line`, `document` and `package` are aliases of a landed line, of its
  document and of its package, joined from the left.
-#}

{#- Quantity in base units. УНФ counts a line in its own unit, УТ and БП in base units. -#}
{% macro base_quantity(line, package) -%}
    coalesce(
        {{ line }}.quantity, {{ line }}.package_quantity * coalesce({{ package }}.numerator / nullif({{ package }}.denominator, 0), 1)
    )
{%- endmacro %}

{#- Amount including VAT. БП says in the document whether the amount holds it already. -#}
{% macro amount_with_vat(line, document) -%}
    coalesce(
        {{ line }}.amount_with_vat,
        case
            when {{ document }}.price_includes_vat then {{ line }}.amount
            else {{ line }}.amount + coalesce({{ line }}.vat_amount, 0)
        end
    )
{%- endmacro %}

{#- A document is with a client unless its operation says that it is not: УНФ keeps purchases beside returns. -#}
{% macro is_with_client(operation) -%}
    coalesce({{ operation }}, '') not in (
        'ПоступлениеОтПоставщика', 'ПриемНаКомиссию', 'ПриемВПереработку', 'ПриемНаОтветХранение', 'ПоступлениеИзПереработки',
        'ВозвратПоставщику', 'ПередачаНаКомиссию', 'ПередачаВПереработку', 'ПередачаНаОтветХранение', 'ВозвратКомитенту'
    )
{%- endmacro %}

{#- An order of УНФ that was ended as cancelled cancels its lines, which it does not mark one by one. -#}
{% macro cancelled_with_order(document) -%}
    {{ document }}.completion like 'Отмен%'
{%- endmacro %}

{#- Types of company are named differently by each configuration. -#}
{% macro person_kind(column) -%}
    case
        when {{ column }} like 'Юр%' then 'ЮрЛицо'
        when {{ column }} like 'Физ%' then 'ФизЛицо'
        else {{ column }}
    end
{%- endmacro %}

{#- Lines of services follow those of goods; numbers of their own, far away, keep them apart. -#}
{% macro service_line_no(line_no) -%}
    {{ line_no }} + 1000000
{%- endmacro %}

{#- A line or document may be based on other things than an order. -#}
{% macro is_order(order_type) -%}
    {{ order_type }} is null or {{ order_type }} like any (array['%ЗаказКлиента', '%ЗаказПокупателя', '%СчетНаОплатуПокупателю'])
{%- endmacro %}

{#- ... and a return on other things than a shipment. -#}
{% macro is_shipment(shipment_type) -%}
    {{ shipment_type }} is null or {{ shipment_type }} like any (array['%РеализацияТоваровУслуг', '%РасходнаяНакладная'])
{%- endmacro %}
