{#-
  Nothing was lost or doubled on the way: the same number of rows and the same totals per source as in `compare_to`.
  `measures` maps a measure of the model to the same measure of `compare_to`.
-#}
{% test lossless(model, compare_to, measures, compare_where='true') %}

with ours as (
    select
        instance,
        count(*) as rows_found
        {%- for measure in measures %},
        coalesce(sum({{ measure }}), 0) as total_{{ loop.index }}
        {%- endfor %}
    from {{ model }}
    group by instance
),

theirs as (
    select
        instance,
        count(*) as rows_found
        {%- for measure in measures.values() %},
        coalesce(sum({{ measure }}), 0) as total_{{ loop.index }}
        {%- endfor %}
    from {{ compare_to }}
    where {{ compare_where }}
    group by instance
)

select
    coalesce(ours.instance, theirs.instance) as instance,
    ours.rows_found as model_rows,
    theirs.rows_found as compared_rows
from ours
full outer join theirs on ours.instance = theirs.instance
where
    ours.rows_found is distinct from theirs.rows_found
    {%- for measure in measures %}
    or ours.total_{{ loop.index }} is distinct from theirs.total_{{ loop.index }}
    {%- endfor %}

{% endtest %}
