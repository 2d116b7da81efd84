{#-
  First half of an incremental fact: delete the lines of every document that is no longer what it was when they were
  written. The model's body then adds the documents that are missing. Documents are compared by their content and the
  load that brought them, never by time: equal timestamps and transactions that commit late cannot slip through, and a
  build that was killed half-way heals itself. The load alone would not do: one load may write a document twice (a pass
  that was repeated), and a reland decodes it anew under the load that brought it.

  A document is stale when it vanished, was un-posted or re-posted, changed in any field or line, moved to another
  outlet, client, branch or day, or when one of its products changed its kind. Orders also: when a reason of cancellation
  or a status changed its meaning.
-#}
{% macro delete_stale_documents(header_model, document_id, document_day, with_reasons=false) -%}
{#- Named outside the condition, or dbt would not see them while parsing. -#}
{%- set headers = ref(header_model) -%}
{%- set products = ref('int_product') -%}
{%- set reasons = ref('int_cancellation_reason') if with_reasons -%}
{% if is_incremental() %}
delete from {{ this }} as fact
using (
    select distinct
        kept.instance,
        kept.{{ document_id }}
    from {{ this }} as kept
    left join {{ headers }} as header
        on kept.instance = header.instance and kept.{{ document_id }} = header.{{ document_id }}
    left join {{ products }} as product
        on kept.instance = product.instance and kept.product_id = product.product_id
    {% if with_reasons -%}
    left join {{ reasons }} as reason
        on kept.instance = reason.instance and kept.cancellation_reason_id = reason.cancellation_reason_id
    {% endif -%}
    where
        header.{{ document_id }} is null
        or header.load_id <> kept.load_id
        or header.row_hash <> kept.row_hash
        or header.{{ document_day }} <> kept.{{ document_day }}
        or header.outlet_id is distinct from kept.outlet_id
        or header.client_id is distinct from kept.client_id
        or header.branch_id is distinct from kept.branch_id
        or coalesce(product.product_kind, 'goods') <> kept.product_kind
        {% if with_reasons -%}
        or header.is_open <> kept.is_open
        or reason.reason_name is distinct from kept.cancellation_reason
        or (
            kept.line_status like 'cancelled%'
            and kept.line_status <> 'cancelled_by_' || coalesce(reason.cancelled_by, 'unknown')
        )
        {% endif -%}
) as stale
where fact.instance = stale.instance and fact.{{ document_id }} = stale.{{ document_id }}
{% else %}
select 1
{% endif %}
{%- endmacro %}

{#- The same for occasions: the unit is an outlet's day, compared by the fingerprint of its orders. -#}
{% macro delete_stale_order_days() -%}
{%- set order_days = ref('int_order_day') -%}
{% if is_incremental() %}
delete from {{ this }} as fact
where not exists (
    select 1
    from {{ order_days }} as order_day
    where
        order_day.instance = fact.instance
        and order_day.outlet_id = fact.outlet_id
        and order_day.ordered_on = fact.ordered_on
        and order_day.fingerprint = fact.fingerprint
)
{% else %}
select 1
{% endif %}
{%- endmacro %}

{#- For models with one set of rows per business date: forget the date that is being built. -#}
{% macro delete_as_of() -%}
{% if is_incremental() %}
delete from {{ this }} where as_of = {{ as_of() }}
{% else %}
select 1
{% endif %}
{%- endmacro %}

{#- For distribution: months are recomputed as documents change; rolling windows are kept for every date built. -#}
{% macro delete_replaced_periods() -%}
{% if is_incremental() %}
delete from {{ this }} where period_kind = 'month' or period_end = {{ as_of() }}
{% else %}
select 1
{% endif %}
{%- endmacro %}
