{#- The model must not have more rows than the relation it enriches: a join key that repeats would multiply roubles. -#}
{% test no_fanout(model, of) %}

select
    ours.rows_found as model_rows,
    theirs.rows_found as parent_rows
from (select count(*) as rows_found from {{ model }}) as ours
cross join (select count(*) as rows_found from {{ of }}) as theirs
where ours.rows_found > theirs.rows_found

{% endtest %}
