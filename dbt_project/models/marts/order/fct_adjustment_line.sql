{{ config(indexes=[{'columns': ['instance', 'document_id', 'line_no'], 'unique': true}]) }}

with source_instances as (
    select * from {{ ref('stg_ops__source_instance') }}
),

write_offs as (
    select * from {{ ref('stg_onec__stock_write_off') }}
    where not is_deleted and not deletion_mark and posted
),

write_off_lines as (
    select * from {{ ref('stg_onec__stock_write_off_line') }}
),

debt_adjustments as (
    select * from {{ ref('stg_onec__debt_adjustment') }}
    where not is_deleted and not deletion_mark and posted
),

debt_adjustment_lines as (
    select * from {{ ref('stg_onec__debt_adjustment_line') }}
),

goods as (
    select
        write_offs.instance,
        write_offs.write_off_id as document_id,
        lines.line_no,
        'write_off' as line_class,
        write_offs.number as document_number,
        write_offs.dated_at as adjusted_at,
        write_offs.organisation_id,
        cast(null as text) as partner_id,
        lines.product_id,
        lines.quantity,
        lines.price,
        lines.amount,
        -1 * lines.quantity as signed_quantity,
        -1 * lines.amount as signed_amount,
        coalesce(write_offs.comment, write_offs.operation) as description
    from write_offs
    inner join write_off_lines as lines
        on write_offs.instance = lines.instance and write_offs.write_off_id = lines.write_off_id
),

debts as (
    select
        debt_adjustments.instance,
        debt_adjustments.debt_adjustment_id as document_id,
        lines.line_no,
        'debt_adjustment' as line_class,
        debt_adjustments.number as document_number,
        debt_adjustments.dated_at as adjusted_at,
        debt_adjustments.organisation_id,
        debt_adjustments.partner_id,
        cast(null as text) as product_id,
        cast(null as numeric) as quantity,
        cast(null as numeric) as price,
        lines.amount,
        cast(null as numeric) as signed_quantity,
        -1 * lines.amount as signed_amount,
        coalesce(lines.description, debt_adjustments.comment, debt_adjustments.operation) as description
    from debt_adjustments
    inner join debt_adjustment_lines as lines
        on debt_adjustments.instance = lines.instance and debt_adjustments.debt_adjustment_id = lines.debt_adjustment_id
),

adjustments as (
    select * from goods
    union all
    select * from debts
)

select
    adjustments.instance,
    adjustments.document_id,
    adjustments.line_no,
    adjustments.line_class,
    adjustments.document_number,
    adjustments.adjusted_at,
    cast(adjustments.adjusted_at at time zone source_instances.time_zone as date) as adjusted_on,
    case when source_instances.branches = 'by_organization' then adjustments.organisation_id else 'all' end as branch_id,
    adjustments.organisation_id,
    adjustments.partner_id,
    adjustments.product_id,
    adjustments.quantity,
    adjustments.price,
    adjustments.amount,
    adjustments.signed_quantity,
    adjustments.signed_amount,
    adjustments.description
from adjustments
inner join source_instances on adjustments.instance = source_instances.instance
