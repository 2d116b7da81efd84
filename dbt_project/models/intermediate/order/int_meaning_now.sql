-- Words of documents that decide what their lines are: which side a reason of cancellation blames, what is no goods.
select
    'reason' as word_kind,
    instance,
    cancellation_reason_id as word_id,
    concat_ws(':', cancelled_by, reason_name) as meaning
from {{ ref('int_cancellation_reason') }}
union all
select
    'product' as word_kind,
    instance,
    product_id as word_id,
    product_kind as meaning
from {{ ref('int_product') }}
where product_kind <> 'goods'
