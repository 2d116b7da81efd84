-- Formats of outlets that people said with dates; they go before what 1C says.
select
    outlets.instance,
    outlets.outlet_id,
    formats.outlet_format,
    formats.valid_from,
    coalesce(formats.valid_to, date '9999-12-31') as valid_to
from {{ ref('stg_reference__outlet_format') }} as formats
inner join {{ ref('int_outlet') }} as outlets
    on formats.outlet_code = outlets.outlet_code and coalesce(formats.instance, outlets.instance) = outlets.instance
