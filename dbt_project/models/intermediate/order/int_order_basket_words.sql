-- One fingerprint of everything that people filled in or changed in catalogues that the baskets are judged by.
with facts as (
    select concat_ws(':', 'sku', instance, product_id, sku_id, units_per_unit, is_withdrawn) as fact
    from {{ ref('int_sku') }}
    where product_id <> sku_id or is_withdrawn
    union all
    select concat_ws(':', 'agreed', instance, outlet_id, sku_id, min_quantity, valid_from, valid_to)
    from {{ ref('int_agreed_position') }}
    union all
    select concat_ws(':', 'promotion', instance, sku_id, client_id, valid_from, valid_to)
    from {{ ref('int_promotion') }}
    union all
    select concat_ws(':', 'substitution', instance, sku_id, substitution_group)
    from {{ ref('int_substitution') }}
)

select coalesce(md5(string_agg(fact, ',' order by fact)), '') as fingerprint
from facts
