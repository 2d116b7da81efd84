{{ config(materialized='view') }}

-- Revenue of each day and organisation: the warehouse against 1C's own register, to the kopeck. Only days whose totals
-- were taken are compared. A view, so that totals which are taken again after a build are seen at once.
with taken as (
    select
        instance,
        accounted_on,
        max(taken_at) filter (where not is_by_document) as taken_at,
        bool_or(is_by_document) as is_by_document
    from {{ ref('stg_ops__control_total_taken') }}
    where measure = 'revenue'
    group by instance, accounted_on
),

totals as (
    select * from {{ ref('stg_ops__control_total') }}
    where measure = 'revenue'
),

organisations as (
    select * from {{ ref('stg_onec__organisation') }}
),

source_instances as (
    select * from {{ ref('stg_ops__source_instance') }}
),

landed as (
    select
        instance,
        shipment_id as document_id,
        loaded_at
    from {{ ref('stg_onec__shipment') }}
    union all
    select
        instance,
        return_id as document_id,
        loaded_at
    from {{ ref('stg_onec__return') }}
    union all
    select
        instance,
        correction_id as document_id,
        loaded_at
    from {{ ref('stg_onec__shipment_correction') }}
),

ours as (
    select
        documents.*,
        landed.loaded_at
    from {{ ref('int_revenue_document') }} as documents
    inner join taken on documents.instance = taken.instance and documents.accounted_on = taken.accounted_on
    left join landed on documents.instance = landed.instance and documents.document_id = landed.document_id
),

-- Documents that have changed in 1C since they landed: the next read brings them, they say nothing about a discrepancy.
changed as (
    select
        instance,
        accounted_on,
        subject_id as document_id
    from totals
    where subject_type = 'changed'
),

theirs as (
    select
        totals.instance,
        totals.accounted_on,
        totals.organisation_id,
        totals.subject_type as document_kind,
        totals.subject_id as document_id,
        totals.amount
    from totals
    where totals.subject_type is not null and totals.subject_type <> 'changed'
),

-- One by one, where that was asked for.
compared as (
    select
        coalesce(theirs.instance, ours.instance) as instance,
        coalesce(theirs.accounted_on, ours.accounted_on) as accounted_on,
        coalesce(theirs.organisation_id, ours.organisation_id) as organisation_id,
        coalesce(theirs.document_kind, ours.document_kind) as document_kind,
        coalesce(theirs.document_id, ours.document_id) as document_id,
        ours.document_number,
        coalesce(theirs.amount, 0) as onec_amount,
        coalesce(ours.amount, 0) as warehouse_amount,
        changed.document_id is not null as is_changed,
        coalesce(theirs.document_kind, ours.document_kind)
        not in ('shipment', 'return', 'shipment_correction') as is_other
    from theirs
    full outer join
        (
            select ours.* from ours
            inner join taken
                on ours.instance = taken.instance and ours.accounted_on = taken.accounted_on and taken.is_by_document
        ) as ours
        on
            theirs.instance = ours.instance
            and theirs.accounted_on = ours.accounted_on
            and theirs.document_id = ours.document_id
            and theirs.organisation_id is not distinct from ours.organisation_id
    left join changed
        on
            coalesce(theirs.instance, ours.instance) = changed.instance
            and coalesce(theirs.accounted_on, ours.accounted_on) = changed.accounted_on
            and coalesce(theirs.document_id, ours.document_id) = changed.document_id
),

explained as (
    select
        instance,
        accounted_on,
        organisation_id,
        sum(onec_amount) filter (where is_other) as other_amount,
        sum(onec_amount - warehouse_amount) filter (where is_changed and not is_other) as changed_amount,
        count(*) filter (where is_changed) as documents_changed,
        array_agg(
            format(
                '%s %s: 1С %s, Polka %s',
                case document_kind
                    when 'shipment' then 'Реализация'
                    when 'return' then 'Возврат'
                    when 'shipment_correction' then 'Корректировка'
                    else document_kind
                end,
                coalesce(document_number, document_id),
                to_char(onec_amount, 'FM999999999990.00'),
                to_char(warehouse_amount, 'FM999999999990.00')
            )
            order by abs(onec_amount - warehouse_amount) desc, document_id
        ) filter (where onec_amount <> warehouse_amount and not is_changed and not is_other) as differing_documents
    from compared
    group by instance, accounted_on, organisation_id
),

sums as (
    select
        coalesce(ours.instance, theirs.instance) as instance,
        coalesce(ours.accounted_on, theirs.accounted_on) as accounted_on,
        coalesce(ours.organisation_id, theirs.organisation_id) as organisation_id,
        coalesce(ours.amount, 0) as warehouse_amount,
        coalesce(theirs.amount, 0) as onec_amount,
        coalesce(ours.documents, 0) as documents,
        ours.loaded_at
    from (
        select
            instance,
            accounted_on,
            organisation_id,
            sum(amount) as amount,
            count(*) as documents,
            max(loaded_at) as loaded_at
        from ours
        group by instance, accounted_on, organisation_id
    ) as ours
    full outer join
        (
            select
                instance,
                accounted_on,
                organisation_id,
                sum(amount) as amount
            from totals
            where subject_type is null
            group by instance, accounted_on, organisation_id
        ) as theirs
        on
            ours.instance = theirs.instance
            and ours.accounted_on = theirs.accounted_on
            and ours.organisation_id is not distinct from theirs.organisation_id
),

judged as (
    select
        sums.*,
        taken.taken_at,
        taken.is_by_document,
        coalesce(explained.other_amount, 0) as other_amount,
        coalesce(explained.documents_changed, 0) as documents_changed,
        coalesce(explained.differing_documents, cast('{}' as text[])) as differing_documents,
        sums.onec_amount - coalesce(explained.other_amount, 0) - coalesce(explained.changed_amount, 0)
        - sums.warehouse_amount as difference
    from sums
    inner join taken on sums.instance = taken.instance and sums.accounted_on = taken.accounted_on
    left join explained
        on
            sums.instance = explained.instance
            and sums.accounted_on = explained.accounted_on
            and sums.organisation_id is not distinct from explained.organisation_id
)

select
    judged.instance,
    case when source_instances.branches = 'by_organization' then judged.organisation_id else 'all' end as branch_id,
    judged.organisation_id,
    organisations.name as organisation_name,
    judged.accounted_on,
    cast(judged.warehouse_amount as numeric(18, 2)) as warehouse_amount,
    cast(judged.onec_amount as numeric(18, 2)) as onec_amount,
    cast(judged.other_amount as numeric(18, 2)) as other_documents_amount,
    cast(judged.difference as numeric(18, 2)) as difference_amount,
    judged.documents,
    judged.documents_changed,
    judged.differing_documents,
    case
        when judged.difference = 0 and cardinality(judged.differing_documents) = 0 then 'agrees'
        when judged.loaded_at > judged.taken_at then 'changed_since'
        else 'differs'
    end as status,
    judged.is_by_document,
    judged.taken_at
from judged
inner join source_instances on judged.instance = source_instances.instance
left join organisations
    on judged.instance = organisations.instance and judged.organisation_id = organisations.organisation_id
