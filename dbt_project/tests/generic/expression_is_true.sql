{#- Fails for rows where the expression is false; where it is null, nothing is claimed. -#}
{% test expression_is_true(model, expression, column_name=none) %}

select *
from {{ model }}
where not ({{ expression }})

{% endtest %}
