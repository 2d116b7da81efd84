-- The card of every metric, taken from the columns of the marts themselves: their description is the name that people read as
-- a column comment, their meta (`metric`) says formula, owner and source. One text, two places: they cannot drift apart.
-- depends_on: {{ ref('kpi_board') }}
{% for model_name, column_name, description, meta in metric_cards() %}
select
    {{ sql_text(column_name) }} as metric,
    {{ sql_text(meta.code) }} as kpi_code,
    {{ sql_text(description.split(' / ')[0]) }} as name_ru,
    {{ sql_text(description.split(' / ')[1:] | join(' / ')) }} as name_en,
    {{ sql_text(meta.unit) }} as unit,
    {{ sql_text(meta.formula) }} as formula,
    {{ sql_text(meta.numerator) }} as numerator,
    {{ sql_text(meta.denominator) }} as denominator,
    {{ sql_text(meta.owner) }} as owner,
    {{ sql_text(meta.source) }} as source,
    {{ sql_text(model_name) }} as model_name
union all
{% endfor %}
select
    cast(null as text) as metric,
    cast(null as text) as kpi_code,
    cast(null as text) as name_ru,
    cast(null as text) as name_en,
    cast(null as text) as unit,
    cast(null as text) as formula,
    cast(null as text) as numerator,
    cast(null as text) as denominator,
    cast(null as text) as owner,
    cast(null as text) as source,
    cast(null as text) as model_name
where false
