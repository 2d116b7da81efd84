-- Every KPI has a card with all its words, and every card belongs to a KPI that is computed.
with metrics as (
    select distinct metric from {{ ref('kpi_monthly') }}
),

cards as (
    select * from {{ ref('metric_card') }}
)

select
    metrics.metric,
    cards.metric as card
from metrics
full outer join cards on metrics.metric = cards.metric
where
    (cards.metric is null or metrics.metric is null)
    and (select count(known.metric) from metrics as known) > 0
    or cards.name_ru = '' or cards.name_en = '' or cards.formula = '' or cards.numerator = '' or cards.denominator = ''
    or cards.owner = '' or cards.source = ''
