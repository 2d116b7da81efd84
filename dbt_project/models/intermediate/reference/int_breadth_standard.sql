-- How many positions an outlet of a format holds, and since when: as people say, else as the formats are shipped.
with said as (
    select
        outlet_format,
        positions,
        valid_from,
        coalesce(valid_to, date '9999-12-31') as valid_to
    from {{ ref('stg_reference__breadth_standard') }}
),

shipped as (
    select
        outlet_format,
        breadth_standard
    from {{ ref('outlet_format_map') }}
    where breadth_standard is not null
)

select * from said
union all
select
    shipped.outlet_format,
    shipped.breadth_standard as positions,
    date '2001-01-01' as valid_from,
    date '9999-12-31' as valid_to
from shipped
where not exists (select 1 from said where said.outlet_format = shipped.outlet_format)  -- noqa: LT14
