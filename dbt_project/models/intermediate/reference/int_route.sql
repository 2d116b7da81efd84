{{ config(materialized='table', indexes=[{'columns': ['instance', 'outlet_id']}], post_hook='{{ analyze_this() }}') }}

-- Which outlets are on whose route, and when.
select
    outlets.instance,
    outlets.outlet_id,
    routes.manager as manager_name,
    routes.valid_from,
    coalesce(routes.valid_to, date '9999-12-31') as valid_to
from {{ ref('stg_reference__route') }} as routes
inner join {{ ref('int_outlet') }} as outlets
    on routes.outlet_code = outlets.outlet_code and coalesce(routes.instance, outlets.instance) = outlets.instance
