"""A row of marts.follow_up as the sender sees it: read from the ledger's frozen payload, money exact, no contacts."""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

MAX_CYCLES_AT_RISK = 3


@dataclass(frozen=True)
class OutletEvidence:
    """Why one outlet is in the list. Money in roubles, cadence in days, dates are calendar days of the base."""

    outlet_id: str
    name: str
    format: str | None
    address: str | None
    basis: str
    cadence_days: Decimal | None
    weekdays: tuple[str, ...]
    every_weeks: int | None
    last_ordered_on: date | None
    last_order_number: str | None
    due_on: date | None
    missed_due_dates: tuple[date, ...]
    missed_cycles: int
    median_amount: Decimal | None
    usual_positions: int | None
    money_at_risk: Decimal


@dataclass(frozen=True)
class Finding:
    """Another reason than a missed order, at one outlet or at the whole client. Money in roubles.

    facts: as the reason's model tells them; dates are dates, numbers Decimal or int, texts one printable line.
    """

    reason: str
    subject_id: str
    outlet_id: str | None
    name: str
    is_blocking: bool
    money_at_risk: Decimal
    confidence: str
    facts: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class FollowUp:
    """One client to call on one day. `outlets` hold those without an order, the most expensive first; `findings` the
    other reasons, the main one first.
    """

    followup_id: str
    as_of: date
    instance: str
    client_id: str
    client_name: str
    branch_id: str
    branch_name: str | None
    manager_id: str | None
    manager_name: str | None
    reasons: tuple[str, ...]
    rule_id: str
    rule_version: int
    outlets_total: int
    outlets_affected: int
    money_at_risk: Decimal
    list_rank: int
    confidence: str
    outlets: tuple[OutletEvidence, ...]
    next_shipping_day: date | None
    data_as_of: datetime | None
    findings: tuple[Finding, ...] = ()
    escalated_from: str | None = None
    stands_in_for: str | None = None
    unanswered_since: date | None = None
    last_outcome: str | None = None
    last_contact_on: date | None = None
    last_until_on: date | None = None
    """What came of the last call about this story, when, and the day that was agreed on."""

    @property
    def contact_outlets(self) -> tuple[str, ...]:
        """Outlets whose phones may be called, the main one first."""
        own = [outlet.outlet_id for outlet in self.outlets]
        told = [finding.outlet_id for finding in self.findings if finding.outlet_id]
        order = [*told, *own] if self.rule_id != "missed_order" else [*own, *told]
        return tuple(dict.fromkeys(order))

    @property
    def little_history(self) -> bool:
        return self.confidence == "little_history"


@dataclass(frozen=True)
class LogisticsRow:
    """An order that we did not fulfil. Money in roubles; positions: name, ordered and shipped quantity.

    fault: late, short or refused; days_late only for late.
    """

    order_number: str | None
    ordered_on: date
    branch_name: str | None
    client_name: str | None
    outlet_name: str | None
    address: str | None
    fault: str
    promised_on: date | None
    days_late: int | None
    ordered_amount: Decimal
    missing_amount: Decimal
    positions: tuple[tuple[str, Any, Any], ...] = ()


def follow_up_from_payload(text: str, *, list_rank: int | None = None) -> FollowUp:
    """Read the JSON text of a frozen row. Raises KeyError or ValueError when it is not such a row."""
    row: dict[str, Any] = json.loads(text, parse_float=Decimal)
    evidence = row["evidence"] or {}
    outlets = sorted(
        (_outlet(item) for item in evidence.get("outlets") or []), key=lambda o: (-o.money_at_risk, o.name, o.outlet_id)
    )
    return FollowUp(
        followup_id=row["followup_id"],
        as_of=date.fromisoformat(row["as_of"]),
        instance=row["instance"],
        client_id=row["client_id"],
        client_name=row["client_name"] or "",
        branch_id=row["branch_id"],
        branch_name=row.get("branch_name"),
        manager_id=row.get("manager_id"),
        manager_name=row.get("manager_name"),
        reasons=tuple(row["reasons"]),
        rule_id=row["rule_id"],
        rule_version=int(row["rule_version"]),
        outlets_total=int(row["outlets_total"]),
        outlets_affected=int(row["outlets_affected"]),
        money_at_risk=Decimal(row["money_at_risk"] or 0),
        list_rank=list_rank if list_rank is not None else int(row["list_rank"]),
        confidence=row["confidence"],
        outlets=tuple(outlets),
        next_shipping_day=_day(evidence.get("next_shipping_day")),
        data_as_of=_moment(evidence.get("data_as_of")),
        findings=tuple(_finding(item) for item in evidence.get("findings") or []),
        escalated_from=evidence.get("escalated_from"),
        stands_in_for=evidence.get("stands_in_for"),
        unanswered_since=_day(evidence.get("unanswered_since")),
        last_outcome=evidence.get("last_outcome"),
        last_contact_on=_day(evidence.get("last_contact_on")),
        last_until_on=_day(evidence.get("last_until_on")),
    )


def _finding(item: dict[str, Any]) -> Finding:
    return Finding(
        reason=item["reason"],
        subject_id=item["subject_id"],
        outlet_id=item.get("outlet_id"),
        name=item.get("name") or "",
        is_blocking=bool(item.get("is_blocking")),
        money_at_risk=Decimal(item.get("money_at_risk") or 0),
        confidence=item.get("confidence") or "ok",
        facts=_facts(item),
    )


def _facts(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a model does not tell is None: a row written by an older version must still be readable."""
    return defaultdict(lambda: None, {key: _fact(key, value) for key, value in item.items()})


def _fact(key: str, value: Any) -> Any:
    """Days are those whose name says so; names from outside become one line."""
    if isinstance(value, list):
        return [_fact(key, one) for one in value]
    if isinstance(value, dict):
        return _facts(value)
    if isinstance(value, str):
        if key.endswith("_on") or key in _DAYS:
            return _day(value)
        return one_line(value)
    return value


_DAYS = {"order_dates", "missed_due_dates", "quarter_end"}


def one_line(text: str | None) -> str:
    """One line of printable text: names come from outside with line breaks, tabs and control characters."""
    return " ".join("".join(char if char.isprintable() else " " for char in text or "").split())


def _outlet(item: dict[str, Any]) -> OutletEvidence:
    return OutletEvidence(
        outlet_id=item["outlet_id"],
        name=item.get("name") or "",
        format=item.get("format"),
        address=item.get("address"),
        basis=item["basis"],
        cadence_days=_number(item.get("cadence_days")),
        weekdays=_weekdays(item.get("weekdays")),
        every_weeks=None if item.get("every_weeks") is None else int(item["every_weeks"]),
        last_ordered_on=_day(item.get("last_ordered_on")),
        last_order_number=item.get("last_order_number"),
        due_on=_day(item.get("due_on")),
        missed_due_dates=tuple(date.fromisoformat(day[:10]) for day in item.get("missed_due_dates") or []),
        missed_cycles=int(item.get("missed_cycles") or 0),
        median_amount=_number(item.get("median_amount")),
        usual_positions=None if item.get("usual_positions") is None else round(Decimal(item["usual_positions"])),
        money_at_risk=Decimal(item.get("money_at_risk") or 0),
    )


def _weekdays(value: Any) -> tuple[str, ...]:
    """'пн,чт' or a list of the same abbreviations."""
    parts = value.split(",") if isinstance(value, str) else value or []
    return tuple(part.strip().lower() for part in parts if part and part.strip())


def _number(value: Any) -> Decimal | None:
    return None if value is None else Decimal(value)


def _day(value: str | None) -> date | None:
    return date.fromisoformat(value[:10]) if value else None


def _moment(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value) if value else None
