"""What the forecast reads of dbt's models, as empty tables: demand without a warehouse build."""

from warehouse.db import Connection


def demand_tables(conn: Connection) -> None:
    conn.execute(
        """
        create table intermediate.int_weekly_demand (
            instance text, warehouse_id text, product_id text, week_start date, ordered_quantity numeric
        );
        create table intermediate.int_demand_segment (
            instance text, warehouse_id text, product_id text, segment text
        )
        """
    )
