"""What became of a rep's last rows, and how often each reason was worth its call: for the workbook."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal

from warehouse.db import Connection

RESULT_DAYS = 7


@dataclass(frozen=True)
class PastRow:
    """A row told in the last days. Money in roubles; `came` is capped at what was at risk, None while unknown."""

    told_on: date
    client_name: str
    reasons: tuple[str, ...]
    money_at_risk: Decimal
    outcome: str | None
    until_on: date | None
    ordered_on: date | None
    came: Decimal | None


@dataclass(frozen=True)
class RuleRecord:
    """Rows of one reason in the last weeks whose time is over, as marts.follow_up_precision counts them.

    right: brought something, or there was a talk. wrong: came by itself, or a false alarm. unknown: neither an answer
    nor an order. came: roubles that the right ones brought.
    """

    told: int
    right: int
    wrong: int
    unknown: int
    came: Decimal

    @property
    def precision(self) -> Decimal | None:
        """Share of the right ones among those of which anything is known."""
        known = self.right + self.wrong
        return Decimal(self.right) / known if known else None


@dataclass(frozen=True)
class Results:
    """Of one rep."""

    rows: tuple[PastRow, ...] = ()
    rules: Mapping[str, RuleRecord] = field(default_factory=dict)


def read_results(conn: Connection, as_of: date, channel: str, instance: str, manager_id: str) -> Results:
    """What the rep was told through the channel in the last days before `as_of`, and what came of it."""
    rows = conn.execute(
        """
        select l.as_of, l.payload ->> 'client_name',
               array(select jsonb_array_elements_text(l.payload -> 'reasons')),
               (l.payload ->> 'money_at_risk')::numeric(18, 2),
               answer.outcome, answer.until_on, result.ordered_on, result.came_amount
        from ops.delivery_ledger as l
        left join lateral (
            select o.outcome, o.until_on from ops.follow_up_outcome as o
            where o.instance = l.instance and o.followup_id = l.followup_id
            order by o.recorded_on desc, o.recorded_at desc limit 1
        ) as answer on true
        left join marts.follow_up_outcome as result
            on result.instance = l.instance and result.client_id = l.client_id and result.as_of = l.as_of
        where l.channel = %s and l.instance = %s and l.manager_id = %s and l.as_of between %s and %s
          and (l.state = 'sent' or l.external_id is not null)
        order by l.as_of desc, l.list_rank, l.followup_id
        """,
        [channel, instance, manager_id, as_of - timedelta(days=RESULT_DAYS), as_of - timedelta(days=1)],
    ).fetchall()
    rules = conn.execute(
        """
        select rule_id, told_rows, right_rows, wrong_rows, unknown_rows, came_amount
        from marts.follow_up_precision
        where instance = %s and manager_id = %s and rule_id <> 'all'
        """,
        [instance, manager_id],
    ).fetchall()
    return Results(
        tuple(PastRow(row[0], row[1] or "", tuple(row[2]), *row[3:]) for row in rows),
        {row[0]: RuleRecord(*row[1:]) for row in rules},
    )
