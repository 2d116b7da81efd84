{#-
  Movements of receivables are kept; what happened on a changed day is written anew. A shipment is settled when what names it
  makes nothing together. Three steps of one transaction: what is named on a changed day is opened again, the days are
  forgotten (then the model writes them), and whatever was opened or written is judged.
-#}

{#- Whether only changed days are written: their fingerprints are kept, and so are the movements. -#}
{% macro writes_changed_receivables() -%}
    {{ return(is_incremental() and built_keys('int_receivable_words_built') is not none) }}
{%- endmacro %}

{% macro open_changed_receivables() -%}
{%- set changed = ref('int_receivable_day_changed') -%}
{% if is_incremental() %}
{%- if not writes_changed_receivables() %}
{%- if 'settled_on' not in adapter.get_columns_in_relation(this) | map(attribute='name') %}
alter table {{ this }} add column settled_on date;
{%- endif %}
delete from {{ this }}
{%- else %}
update {{ this }} as movement
set settled_on = '-infinity'
where (movement.instance, movement.shipment_id) in (
    select
        named.instance,
        named.shipment_id
    from {{ this }} as named
    inner join {{ changed }} as changed on named.instance = changed.instance and named.moved_on = changed.moved_on
    where named.shipment_id is not null
);
delete from {{ this }} as movement
using {{ changed }} as changed
where movement.instance = changed.instance and movement.moved_on = changed.moved_on
{%- endif %}
{% else %}
select 1
{% endif %}
{%- endmacro %}

{% macro settle_changed_receivables() -%}
{% if writes_changed_receivables() %}
update {{ this }} as movement
set settled_on = judged.settled_on
from (
    select
        instance,
        legal_entity_id,
        contract_id,
        shipment_id,
        case when bool_or(movement_kind = 'shipped') and sum(amount) = 0 then max(moved_on) end as settled_on
    from {{ this }}
    where (instance, shipment_id) in (
        select
            opened.instance,
            opened.shipment_id
        from {{ this }} as opened
        where opened.settled_on = '-infinity'
    )
    group by instance, legal_entity_id, contract_id, shipment_id
) as judged
where
    movement.instance = judged.instance
    and movement.shipment_id = judged.shipment_id
    and movement.legal_entity_id = judged.legal_entity_id
    and movement.contract_id = judged.contract_id
    and movement.settled_on is distinct from judged.settled_on
{% else %}
select 1
{% endif %}
{%- endmacro %}

{#-
  A condition on `documents` joined with `source_instances`: those of changed days. The moment alone, whatever the zone, spares
  the days of what is older; inside `coalesce` the days are a hash that each document is looked up in, never a loop.
-#}
{% macro of_changed_receivable_days() -%}
{%- set changed = ref('int_receivable_day_changed') -%}
{%- if writes_changed_receivables() -%}
    documents.dated_at >= (select cast(min(changed.moved_on) - 2 as timestamptz) from {{ changed }} as changed)
        and coalesce(
            (documents.instance, cast(documents.dated_at at time zone source_instances.time_zone as date)) in (
                select
                    changed.instance,
                    changed.moved_on
                from {{ changed }} as changed
            ), false
        )
{%- else -%}
    true
{%- endif -%}
{%- endmacro %}
