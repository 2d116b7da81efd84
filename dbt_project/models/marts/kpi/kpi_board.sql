{{ config(indexes=[{'columns': ['instance', 'month_start', 'slice_kind', 'slice_id'], 'unique': true}]) }}

-- The KPI side by side: one row per month and slice. What each column means is said once, in the columns' own descriptions.
with slices as (
    select * from {{ ref('int_kpi_slice') }}
)

select
    instance,
    month_start,
    slice_kind,
    slice_id,
    cast(max(value) filter (where metric = 'average_order') as numeric(24, 4)) as average_order,
    cast(max(value) filter (where metric = 'order_frequency') as numeric(24, 4)) as order_frequency,
    cast(max(value) filter (where metric = 'return_percent') as numeric(24, 4)) as return_percent,
    cast(max(value) filter (where metric = 'wholesale_percent') as numeric(24, 4)) as wholesale_percent,
    cast(max(value) filter (where metric = 'processing_days') as numeric(24, 4)) as processing_days,
    cast(max(value) filter (where metric = 'margin_percent') as numeric(24, 4)) as margin_percent,
    cast(max(value) filter (where metric = 'contribution_percent') as numeric(24, 4)) as contribution_percent,
    cast(max(value) filter (where metric = 'satisfaction_score') as numeric(24, 4)) as satisfaction_score,
    cast(max(value) filter (where metric = 'survey_response_percent') as numeric(24, 4)) as survey_response_percent,
    cast(max(value) filter (where metric = 'tenure_percent') as numeric(24, 4)) as tenure_percent,
    cast(max(value) filter (where metric = 'first_year_retention_percent') as numeric(24, 4)) as first_year_retention_percent,
    cast(max(value) filter (where metric = 'acquisition_cost') as numeric(24, 4)) as acquisition_cost
from slices
group by instance, month_start, slice_kind, slice_id
