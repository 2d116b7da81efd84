"""Texts for people, from the evidence of a row: the fact first, then what to do. No rule is decided here."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context, select_autoescape
from jinja2.runtime import Context

from alerts import wording
from alerts.followups import MAX_CYCLES_AT_RISK, FollowUp, OutletEvidence
from alerts.wording import Language

FACT_LIMIT = 140
TITLE_LIMIT = 250
OUTLETS_NAMED_IN_MAIL = 4
OUTLETS_NAMED_IN_TASK = 20
_POSTCODE = re.compile(r"^\d{6},\s*")
_TEMPLATES = Path(__file__).parent / "templates"
_LABELS: dict[Language, dict[str, str]] = {
    "ru": {
        "number": "№",
        "client": "Клиент",
        "fact": "Что случилось",
        "money": "Под риском",
        "ask": "Что сделать",
        "more_outlets": "и ещё {} — в приложенном файле",
        "more_in_task": "и ещё {}",
        "attached": "Этот же список — в приложенном файле: там можно отметить итог по каждому клиенту.",
        "total": "{}, под риском {}.",
        "at_risk": "Под риском: {}",
    },
    "en": {
        "number": "#",
        "client": "Client",
        "fact": "What happened",
        "money": "At risk",
        "ask": "What to do",
        "more_outlets": "and {} more in the attached file",
        "more_in_task": "and {} more",
        "attached": "The same list is in the attached file: mark the outcome of every call there.",
        "total": "{}, {} at risk.",
        "at_risk": "At risk: {}",
    },
}


@dataclass(frozen=True)
class Letter:
    """An e-mail ready to be sent, without its addresses."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True)
class Contacts:
    """Personal data, read when sending: client's phone by outlet id. Its repr shows nothing."""

    phones: Mapping[str, str] = field(default_factory=dict, repr=False)

    def phone_of(self, row: FollowUp) -> str | None:
        """The phone of the most expensive affected outlet that has one."""
        return next((self.phones[o.outlet_id] for o in row.outlets if o.outlet_id in self.phones), None)


class Renderer:
    """Texts in one language and one time zone. Everything it returns is plain data, nothing is sent."""

    def __init__(self, language: Language = "ru", time_zone: str = "Europe/Moscow") -> None:
        self.language = language
        self.time_zone = time_zone
        self._labels = _LABELS[language]
        self._environment = _environment(language, time_zone)

    # --- one row ---

    def fact(self, row: FollowUp, *, named: bool = True) -> str:
        """What happened, at most 140 characters; `named` False leaves out the names of a client's outlets."""
        if row.outlets_total <= 1 and row.outlets:
            return self.outlet_fact(row.outlets[0], row.as_of)
        names = [clean(outlet.name) for outlet in row.outlets if clean(outlet.name)]
        for shown in range(min(len(names), 6) if named else 0, -1, -1):
            more = row.outlets_affected - shown if shown else 0
            text = self._text(
                "fact_outlets",
                row.as_of,
                row=row,
                named=names[:shown],
                more=more,
            )
            if len(text) <= FACT_LIMIT:
                return text
        return _clip(text, FACT_LIMIT)

    def outlet_fact(self, outlet: OutletEvidence, as_of: date) -> str:
        """What happened at one outlet, at most 140 characters."""
        missed = _missed(outlet)
        if outlet.basis == "agreed":
            rhythm = wording.rhythm(outlet.weekdays, outlet.every_weeks, self.language)
            text = self._text("fact_agreed", as_of, outlet=outlet, rhythm=rhythm, missed=missed)
        else:
            cadence = wording.every_days(outlet.cadence_days or Decimal(1), self.language)
            days_since = (as_of - outlet.last_ordered_on).days if outlet.last_ordered_on else 0
            text = self._text(
                "fact_learned", as_of, outlet=outlet, cadence=cadence, days_since=days_since, missed=missed
            )
        return _clip(text, FACT_LIMIT)

    def ask(self, row: FollowUp) -> str:
        """The request to the rep."""
        only = row.outlets[0] if len(row.outlets) == 1 else None
        return self._text(
            "ask",
            row.as_of,
            outlets_affected=row.outlets_affected,
            positions=only.usual_positions if only else None,
            usual_amount=only.median_amount if only else None,
            shipping_day=row.next_shipping_day,
            little_history=row.little_history,
        )

    def arithmetic(self, row: FollowUp) -> str | None:
        """'2 × 18 400 ₽' when the amount of a single outlet is exactly that, also as it is shown in whole roubles."""
        if len(row.outlets) != 1:
            return None
        outlet = row.outlets[0]
        times = min(outlet.missed_cycles, MAX_CYCLES_AT_RISK)
        if times < 2 or outlet.median_amount is None or outlet.median_amount * times != row.money_at_risk:
            return None
        if wording.whole_roubles(outlet.median_amount) * times != wording.whole_roubles(row.money_at_risk):
            return None
        return f"{times}{wording.NBSP}×{wording.NBSP}{wording.money(outlet.median_amount, self.language)}"

    def money_line(self, row: FollowUp) -> str:
        """'36 800 ₽ (2 × 18 400 ₽)'."""
        amount = wording.money(row.money_at_risk, self.language)
        arithmetic = self.arithmetic(row)
        return f"{amount} ({arithmetic})" if arithmetic else amount

    def place(self, row: FollowUp) -> str:
        """Outlet, its format and address, for a client with one outlet; how many outlets for a bigger one."""
        if row.outlets_total > 1 or not row.outlets:
            return wording.count(row.outlets_total, "outlet", self.language) if row.outlets_total > 1 else ""
        outlet = row.outlets[0]
        name = "" if clean(outlet.name) == clean(row.client_name) else clean(outlet.name)
        return ", ".join(part for part in (name, clean(outlet.format), _street(outlet.address)) if part)

    def outlet_lines(self, row: FollowUp, limit: int) -> list[str]:
        """One line per affected outlet of a client with several; without a count when they all fit."""
        if row.outlets_total <= 1:
            return []
        return [
            self._text("outlet_line", row.as_of, name=clean(outlet.name), outlet=outlet, missed=_missed(outlet))
            for outlet in row.outlets[:limit]
        ]

    def data_line(self, row: FollowUp) -> str:
        """'Данные 1С на 06:10'."""
        return self._text("data_line", row.as_of, data_as_of=row.data_as_of)

    # --- task ---

    def task_title(self, row: FollowUp) -> str:
        """Title of the CRM task, at most 250 characters."""
        return _clip(self._text("task_title", row.as_of, row=row), TITLE_LIMIT)

    def task_description(self, row: FollowUp, phone: str | None) -> str:
        """Body of the CRM task in BBCode."""
        place = self.place(row) if row.outlets_total <= 1 else ""
        lines = [place] if place else self.outlet_lines(row, OUTLETS_NAMED_IN_TASK)
        left = row.outlets_affected - len(lines)
        if row.outlets_total > 1 and left > 0:
            lines.append(self._labels["more_in_task"].format(wording.count(left, "outlet", self.language)))
        return self._text(
            "task_description",
            row.as_of,
            fact=_no_bbcode(self.fact(row, named=False)),
            outlet_lines=[_no_bbcode(line) for line in lines],
            money_line=self.money_line(row),
            phone=_no_bbcode(phone) if phone else None,
            ask=_no_bbcode(self.ask(row)),
            data_line=self.data_line(row),
        )

    def withdrawn(self, as_of: date, *, orders: int, amount: Decimal, at: datetime | None, on: date | None) -> str:
        """'Снято: заказ поступил в 10:42, 17 900 ₽'. `at` only for an order of today, else `on`."""
        return self._text("withdrawn", as_of, orders=orders, amount=amount, at=at, on=on)

    # --- letters ---

    def list_letter(
        self, rows: Sequence[FollowUp], contacts: Contacts, *, supplement: bool = False, notes: Sequence[str] = ()
    ) -> Letter:
        """The rep's list of the day. `rows` must not be empty."""
        as_of = rows[0].as_of
        total = sum((row.money_at_risk for row in rows), Decimal(0))
        subject = self._text("subject_list", as_of, supplement=supplement, clients=len(rows), money_at_risk=total)
        manager = clean(rows[0].manager_name)
        clients = wording.count(len(rows), "client", self.language)
        lead = self._labels["total"].format(clients, wording.money(total, self.language))
        if manager:
            lead = f"{manager}. {lead[0].upper()}{lead[1:]}"
        freshest = min((row for row in rows if row.data_as_of), key=lambda row: row.data_as_of, default=rows[0])  # type: ignore[arg-type,return-value]
        return self._letter(
            subject,
            heading=subject.split(":")[0],
            lead=lead,
            rows=[self._mail_row(number, row, contacts) for number, row in enumerate(rows, 1)],
            notes=[*notes, self._labels["attached"]],
            footer=self.data_line(freshest),
        )

    def empty_letter(self, as_of: date, *, checked: int, earlier: int, data_as_of: datetime | None) -> Letter:
        """Nothing today, said aloud."""
        lead = self._text("empty", as_of, checked=checked, earlier=earlier, data_as_of=data_as_of)
        subject = self._text("subject_empty", as_of)
        footer = self._text("data_line", as_of, data_as_of=data_as_of)
        return self._letter(subject, heading=subject.split(":")[0], lead=lead, rows=[], notes=[], footer=footer)

    def hold_letter(self, as_of: date, *, branch_name: str | None, reason: str, other_branches: bool) -> Letter:
        """The list is held: which, why, and not to use yesterday's."""
        subject = self._text("subject_hold", as_of, branch_name=clean(branch_name))
        lead = self._text(
            "hold",
            as_of,
            branch_name=clean(branch_name),
            reason=clean(reason).rstrip("."),
            other_branches=other_branches,
        )
        return self._letter(subject, heading=subject, lead=lead, rows=[], notes=[], footer="")

    def _mail_row(self, number: int, row: FollowUp, contacts: Contacts) -> dict[str, Any]:
        lines = self.outlet_lines(row, OUTLETS_NAMED_IN_MAIL)
        left = row.outlets_affected - len(lines)
        if row.outlets_total > 1 and left > 0:
            lines.append(self._labels["more_outlets"].format(wording.count(left, "outlet", self.language)))
        return {
            "number": number,
            "client": clean(row.client_name),
            "place": self.place(row),
            "phone": contacts.phone_of(row),
            "fact": self.fact(row, named=False),
            "outlet_lines": lines,
            "money": wording.money(row.money_at_risk, self.language),
            "arithmetic": self.arithmetic(row),
            "money_line": self._labels["at_risk"].format(self.money_line(row)),
            "ask": self.ask(row),
        }

    def _letter(
        self,
        subject: str,
        *,
        heading: str,
        lead: str,
        rows: Sequence[Mapping[str, Any]],
        notes: Sequence[str],
        footer: str,
    ) -> Letter:
        values = {
            "language": self.language,
            "subject": subject,
            "heading": heading,
            "lead": lead,
            "rows": rows,
            "notes": notes,
            "footer": footer,
            "columns": [
                (self._labels["number"], "24", "right"),
                (self._labels["client"], "190", "left"),
                (self._labels["fact"], "", "left"),
                (self._labels["money"], "92", "right"),
                (self._labels["ask"], "230", "left"),
            ],
        }
        return Letter(
            subject=subject,
            text=self._environment.get_template("list.txt.j2").render(values).strip() + "\n",
            html=self._environment.get_template("list.html.j2").render(values),
        )

    def _text(self, template: str, as_of: date, **values: Any) -> str:
        """`as_of`, the list's own day, decides how days are written."""
        rendered = self._environment.get_template(f"{self.language}/{template}.j2").render(values, as_of=as_of)
        return rendered.strip()


def clean(text: str | None) -> str:
    """One line of printable text: names come from outside with line breaks, tabs and control characters."""
    return " ".join("".join(char if char.isprintable() else " " for char in text or "").split())


@lru_cache(maxsize=4)
def _environment(language: Language, time_zone: str) -> Environment:
    """Templates with the filters of one language; filters that write days read the list's day from the context."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=select_autoescape(enabled_extensions=("html.j2",), default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    @pass_context
    def day(context: Context, value: date) -> str:
        return wording.day(value, context["as_of"])

    @pass_context
    def day_with_weekday(context: Context, value: date) -> str:
        return wording.day_with_weekday(value, context["as_of"], language)

    @pass_context
    def moment(context: Context, value: datetime) -> str:
        return wording.moment_text(value, time_zone, context["as_of"], language)

    environment.filters.update(
        day=day,
        day_with_weekday=day_with_weekday,
        moment=moment,
        weekday=lambda value: wording.weekday(value, language),
        clock=lambda value: wording.clock_time(value, time_zone, language),
        count=lambda number, noun: wording.count(number, noun, language),
        form=lambda number, noun: wording.form(number, noun, language),
        money=lambda amount: wording.money(amount, language),
        list_of=lambda items: wording.list_of(items, language),
        quoted=lambda name: wording.quoted(clean(name), language),
    )
    return environment


def _street(address: str | None) -> str:
    """The address without its postcode: nobody drives by it."""
    return _POSTCODE.sub("", clean(address))


def _missed(outlet: OutletEvidence) -> int:
    return max(outlet.missed_cycles, len(outlet.missed_due_dates))


def _no_bbcode(text: str) -> str:
    """Square brackets of names must not become markup."""
    return text.replace("[", "(").replace("]", ")")


def _clip(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip(" ,;:") + "…"
