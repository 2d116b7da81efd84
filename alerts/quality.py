"""What a rep should know about the data behind his list: how fresh, how much was checked, what could not be judged."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from alerts import wording
from alerts.wording import Language
from warehouse.db import Connection

# Statuses of marts.order_expectation that are worth a line, in this order.
STATUS_LABELS: dict[Language, dict[str, str]] = {
    "ru": {
        "missed_order": "Нет заказа вовремя",
        "on_time": "Заказы по графику",
        "draft": "Заказ не проведён в 1С",
        "little_history": "Мало истории, срок не оценить",
        "first_order": "Только первый заказ",
        "lapsed": "Давно не заказывает",
        "closed": "Закрыта",
        "no_orders": "Ещё не заказывала",
    },
    "en": {
        "missed_order": "No order in time",
        "on_time": "Orders as expected",
        "draft": "Order not posted in 1C",
        "little_history": "Little history, no date can be told",
        "first_order": "First order only",
        "lapsed": "Has not ordered for long",
        "closed": "Closed",
        "no_orders": "Has not ordered yet",
    },
}
_NOTHING_TO_CHECK = {"closed", "no_orders"}


@dataclass(frozen=True)
class HeldBranch:
    """A branch whose list did not go out, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Quality:
    """Outlets of one rep by status on the day; branches that are held today."""

    data_as_of: datetime | None = None
    statuses: Mapping[str, int] = field(default_factory=dict)
    held: tuple[HeldBranch, ...] = ()

    @property
    def checked(self) -> int:
        """Outlets whose orders were looked at."""
        return sum(outlets for status, outlets in self.statuses.items() if status not in _NOTHING_TO_CHECK)

    def notes(self, language: Language) -> list[str]:
        """Sentences for the letter; none when there is nothing to warn of."""
        notes = []
        little = self.statuses.get("little_history", 0)
        drafts = self.statuses.get("draft", 0)
        if drafts:
            outlets = wording.count(drafts, "outlet", language)
            notes.append(
                f"Заказ есть, но не проведён в 1С: {outlets}. Проверьте у оператора."
                if language == "ru"
                else f"There is an order not posted in 1C: {outlets}. Check with the operator."
            )
        if little:
            outlets = wording.count(little, "outlet", language)
            notes.append(
                f"Мало истории, срок заказа пока не оценить: {outlets}."
                if language == "ru"
                else f"Little history, no order date can be told yet: {outlets}."
            )
        for branch in self.held:
            notes.append(
                f"По филиалу {wording.quoted(branch.name, language)} список не отправлен: {branch.reason}."
                if language == "ru"
                else f"The list of branch {wording.quoted(branch.name, language)} was not sent: {branch.reason}."
            )
        return notes


def read_quality(conn: Connection, as_of: date, instance: str, manager_id: str, language: Language) -> Quality:
    """What is known of one rep's outlets on the day."""
    statuses = conn.execute(
        """
        select status, count(*) from marts.order_expectation
        where as_of = %s and instance = %s and manager_id = %s group by status
        """,
        [as_of, instance, manager_id],
    ).fetchall()
    return Quality(
        data_as_of=read_data_as_of(conn, instance),
        statuses={status: int(outlets) for status, outlets in statuses},
        held=_held_branches(conn, as_of, instance, manager_id, language),
    )


def read_data_as_of(conn: Connection, instance: str) -> datetime | None:
    """Until when every entity of the source was looked at: the oldest coverage."""
    row = conn.execute("select min(covered_until) from ops.coverage where instance = %s", [instance]).fetchone()
    return row[0] if row else None


def _held_branches(
    conn: Connection, as_of: date, instance: str, manager_id: str, language: Language
) -> tuple[HeldBranch, ...]:
    """Branches of this rep whose latest verdict of the day is hold."""
    rows = conn.execute(
        """
        select distinct on (v.branch_id) v.branch_name, v.branch_id, v.verdict, v.reason_ru, v.reason_en
        from ops.gate_verdict as v
        where v.as_of = %s and v.instance = %s
          and v.branch_id in (
              select l.branch_id from ops.delivery_ledger as l
              where l.as_of = v.as_of and l.instance = v.instance and l.manager_id = %s and l.state = 'held'
          )
        order by v.branch_id, v.checked_at desc, v.verdict_id desc
        """,
        [as_of, instance, manager_id],
    ).fetchall()
    return tuple(
        HeldBranch(name or branch_id, (reason_ru if language == "ru" else reason_en) or "")
        for name, branch_id, verdict, reason_ru, reason_en in rows
        if verdict == "hold"
    )
