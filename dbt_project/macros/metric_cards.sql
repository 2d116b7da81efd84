{#- Columns of the marts that are metrics: (model, column, description, meta), by the name of the column. A column is one
    when its meta in the YAML has `metric`. -#}
{% macro metric_cards() -%}
{%- set cards = [] -%}
{%- if execute and graph is defined -%}
{%- for node in graph.nodes.values() if node.resource_type == 'model' and node.package_name == project_name -%}
{%- for column in node.columns.values() -%}
{%- set meta = (column.meta or (column.config or {}).get('meta') or {}).get('metric') -%}
{%- if meta -%}
{%- do cards.append((node.name, column.name, column.description, meta)) -%}
{%- endif -%}
{%- endfor -%}
{%- endfor -%}
{%- endif -%}
{{ return(cards | sort(attribute='1')) }}
{%- endmacro %}
