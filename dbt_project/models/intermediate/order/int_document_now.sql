-- Orders, shipments and returns as they are now: where each belongs, and one number that changes when anything of it does.
-- Compared by content and by the load that brought them, never by time: equal timestamps and transactions that commit late
-- cannot slip through. The load alone would not do: one load may write a document twice, and a reland decodes it anew under
-- the load that brought it.
select
    'order' as document_kind,
    instance,
    order_id as document_id,
    outlet_id,
    ordered_on as document_on,
    hashtextextended(concat_ws(':', load_id, row_hash, ordered_on, outlet_id, client_id, branch_id, is_open), 0) as fingerprint
from {{ ref('int_order') }}
union all
select
    'shipment' as document_kind,
    instance,
    shipment_id as document_id,
    outlet_id,
    shipped_on as document_on,
    hashtextextended(concat_ws(':', load_id, row_hash, shipped_on, outlet_id, client_id, branch_id), 0) as fingerprint
from {{ ref('int_shipment') }}
union all
select
    'return' as document_kind,
    instance,
    return_id as document_id,
    outlet_id,
    returned_on as document_on,
    hashtextextended(concat_ws(':', load_id, row_hash, returned_on, outlet_id, client_id, branch_id), 0) as fingerprint
from {{ ref('int_return') }}
