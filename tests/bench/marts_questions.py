"""The ten questions of docs/bi-questions.md: how the marts answer each, and how the flat table of lines would.

`{product}`, `{outlet}`, `{territory}`, `{manager}` are written in anew for each asking; `{as_of}` and `{month}` (the
last whole month) are those of the last build.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    name: str
    mart: str
    raw: str


QUESTIONS = (
    Question(
        "distribution_of_a_product_by_month_and_territory",
        """
        select period_start, territory_id, active_outlets, nd_base_percent from marts.distribution_numeric
        where product_id = '{product}' and period_kind = 'month' and slice = 'territory_product'
        """,
        """
        select date_trunc('month', line.shipped_on), outlet.business_region_id, count(distinct line.outlet_id)
        from peer.shipment_line as line inner join raw.onec_partner as outlet on outlet.record_id = line.outlet_id
        where line.product_id = '{product}' group by 1, 2
        """,
    ),
    Question(
        "products_of_a_territory_now",
        """
        select product_id, active_outlets, nd_base_percent from marts.distribution_numeric
        where territory_id = '{territory}' and period_end = '{as_of}' and window_days = 90
            and slice = 'territory_product'
        """,
        """
        select line.product_id, count(distinct line.outlet_id)
        from peer.shipment_line as line inner join raw.onec_partner as outlet on outlet.record_id = line.outlet_id
        where outlet.business_region_id = '{territory}' and line.shipped_on > date '{as_of}' - 90 group by 1
        """,
    ),
    Question(
        "client_360_by_month",
        """
        select month_start, net_amount, abc_class, xyz_class, purchase_days, last_purchase_on from marts.client_segment
        where client_id = '{outlet}'
        """,
        """
        select date_trunc('month', shipped_on), sum(amount_with_vat), count(distinct shipped_on), max(shipped_on)
        from peer.shipment_line where outlet_id = '{outlet}' group by 1
        """,
    ),
    Question(
        "client_360_top_products_of_a_year",
        """
        select product_id, sum(kept_amount), count(*) from marts.sales_daily
        where instance = 'bench' and outlet_id = '{outlet}' and sold_on > date '{as_of}' - 365
        group by 1 order by 2 desc limit 20
        """,
        """
        select product_id, sum(amount_with_vat), count(distinct shipped_on) from peer.shipment_line
        where outlet_id = '{outlet}' and shipped_on > date '{as_of}' - 365 group by 1 order by 2 desc limit 20
        """,
    ),
    Question(
        "whom_to_call_today",
        """
        select outlet_id, last_ordered_on, missed_cycles, money_at_risk from marts.order_expectation
        where as_of = '{as_of}' and status = 'missed_order' and manager_id = '{manager}'
        order by money_at_risk desc
        """,
        """
        with days as (
            select outlet_id, ordered_on, sum(amount_with_vat) as amount,
                ordered_on - lag(ordered_on) over (partition by outlet_id order by ordered_on) as gap
            from peer.order_line where manager_id = '{manager}' group by outlet_id, ordered_on
        )
        select outlet_id, max(ordered_on), percentile_cont(0.5) within group (order by amount) from days
        group by outlet_id
        having date '{as_of}' - max(ordered_on) > percentile_cont(0.5) within group (order by gap) + 1
        """,
    ),
    Question(
        "where_a_product_was_lost",
        """
        select outlet_id, lost_on, purchase_days from marts.sku_placement
        where instance = 'bench' and product_id = '{product}' and lost_on > date '{as_of}' - 180
        """,
        """
        select outlet_id, max(shipped_on), count(distinct shipped_on) from peer.shipment_line
        where product_id = '{product}' group by 1
        having max(shipped_on) between date '{as_of}' - 361 and date '{as_of}' - 181
        """,
    ),
    Question(
        "active_base_by_month",
        """
        select month_start, active_prior, newly_active, reactivated, dropped, active_total from marts.active_base_bridge
        where instance = 'bench' and level = 'outlet' and slice = 'total'
        """,
        """
        with months as (select distinct outlet_id, date_trunc('month', shipped_on) as month from peer.shipment_line)
        select month, count(*),
            count(*) filter (where previous is null), count(*) filter (where previous < month - interval '1 month')
        from (select *, lag(month) over (partition by outlet_id order by month) as previous from months) as placed
        group by 1
        """,
    ),
    Question(
        "best_products_of_a_month",
        """
        select product_id, revenue_amount, revenue_share_percent, abc_class, outlets_total from marts.product_popularity
        where instance = 'bench' and month_start = '{month}' order by revenue_rank limit 50
        """,
        """
        select product_id, sum(amount_with_vat) as amount, count(distinct outlet_id) from peer.shipment_line
        where shipped_on >= '{month}' and shipped_on < date '{month}' + interval '1 month'
        group by 1 order by 2 desc limit 50
        """,
    ),
    Question(
        "size_of_an_order_by_month_and_rep",
        """
        select month_start, manager_id, average_order_amount, median_order_amount, lines_per_call
        from marts.order_size_monthly where instance = 'bench' and slice = 'manager' and manager_id = '{manager}'
        """,
        """
        select date_trunc('month', ordered_on), avg(amount), percentile_cont(0.5) within group (order by amount),
            avg(lines)
        from (
            select ordered_on, outlet_id, sum(amount_with_vat) as amount, count(*) as lines from peer.order_line
            where manager_id = '{manager}' group by 1, 2
        ) as occasions
        group by 1
        """,
    ),
    Question(
        "seasons_of_a_product_group",
        """
        select category_id, calendar_month, average_amount, seasonality_index from marts.seasonality_index
        where instance = 'bench' and slice = 'category'
        """,
        """
        select product.parent_id, extract(month from line.shipped_on), sum(line.amount_with_vat)
        from peer.shipment_line as line inner join raw.onec_product as product on product.record_id = line.product_id
        group by 1, 2
        """,
    ),
)
