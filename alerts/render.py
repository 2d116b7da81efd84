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

from alerts import reasons, wording
from alerts.followups import MAX_CYCLES_AT_RISK, Finding, FollowUp, LogisticsRow, OutletEvidence, one_line
from alerts.outcome_names import outcome_label
from alerts.wording import Language

clean = one_line

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
        "more_lines": "и ещё {}",
        "inn": "ИНН",
        "no_money": "нет",
        "monthly": "{} в месяц",
        "escalated": "Менеджер: {name}, с {since} без ответа. Решите, кто звонит.",
        "stands_in": "Клиент менеджера {}: вы его замещаете.",
        "last_contact": "Прошлый разговор {on}: {outcome}{until}.",
        "attached": "Этот же список — в приложенном файле: там можно отметить итог по каждому клиенту.",
        "total": "{}, под риском {}.",
        "at_risk": "Под риском: {}",
        "missing": "Недовезли",
        "brought": "{name}: {shipped} из {ordered}",
    },
    "en": {
        "number": "#",
        "client": "Client",
        "fact": "What happened",
        "money": "At risk",
        "ask": "What to do",
        "more_lines": "and {} more",
        "inn": "INN",
        "no_money": "none",
        "monthly": "{} a month",
        "escalated": "Rep: {name}, unanswered since {since}. Decide who calls.",
        "stands_in": "A client of {}: you stand in.",
        "last_contact": "Last contact {on}: {outcome}{until}.",
        "attached": "The same list is in the attached file: mark the outcome of every call there.",
        "total": "{}, {} at risk.",
        "at_risk": "At risk: {}",
        "missing": "Not brought",
        "brought": "{name}: {shipped} of {ordered}",
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
    """Personal data, read when sending: client's phones by outlet id and by client id. Its repr shows nothing."""

    phones: Mapping[str, str] = field(default_factory=dict, repr=False)
    phones_of_clients: Mapping[str, Sequence[str]] = field(default_factory=dict, repr=False)

    def phone_of(self, row: FollowUp) -> str | None:
        """The phone of the most expensive affected outlet that has one; for a debt, of any outlet of the client."""
        known = [self.phones[outlet] for outlet in row.contact_outlets if outlet in self.phones]
        return next(iter(known or self.phones_of_clients.get(row.client_id, ())), None)


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
        return self._fact_of(row, row.rule_id, named=named)

    def finding_fact(self, finding: Finding, as_of: date) -> str:
        """What happened about one reason at one outlet or client, at most 140 characters."""
        text = ""
        for values in reasons.wordings(finding, self.language):
            text = self._text(f"reason/{finding.reason}_fact", as_of, **values)
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
        """The request to the rep: about the main reason, then a word on each other one."""
        said = [self._ask_about(row, row.rule_id)]
        for reason in row.reasons:
            if reason != row.rule_id:
                said.append(reasons.also(_first(row, reason), reason, self.language))
        said.append(self._last_contact(row))
        if row.escalated_from:
            since = wording.day(row.unanswered_since, row.as_of) if row.unanswered_since else ""
            said.append(self._labels["escalated"].format(name=clean(row.escalated_from), since=since))
        elif row.stands_in_for:
            said.append(self._labels["stands_in"].format(clean(row.stands_in_for)))
        return " ".join(part for part in said if part)

    def _last_contact(self, row: FollowUp) -> str:
        """'Прошлый разговор 05.06: перезвонить 11.06.'"""
        if not row.last_outcome or not row.last_contact_on:
            return ""
        label = outcome_label(row.last_outcome, self.language)
        return self._labels["last_contact"].format(
            on=wording.day(row.last_contact_on, row.as_of),
            outcome=label[:1].lower() + label[1:],
            until=f" {wording.day(row.last_until_on, row.as_of)}" if row.last_until_on else "",
        )

    def arithmetic(self, row: FollowUp) -> str | None:
        """'2 × 18 400 ₽' when the amount of a single outlet is exactly that, also as it is shown in whole roubles."""
        if len(row.outlets) + len(row.findings) != 1:
            return None
        if row.findings:
            factors = reasons.factors(row.findings[0])
        else:
            outlet = row.outlets[0]
            median = outlet.median_amount
            factors = None if median is None else (Decimal(min(outlet.missed_cycles, MAX_CYCLES_AT_RISK)), median)
        if factors is None:
            return None
        times, amount = factors
        if times < 2 or times != int(times) or amount * times != row.money_at_risk:
            return None
        if wording.whole_roubles(amount) * times != wording.whole_roubles(row.money_at_risk):
            return None
        return f"{int(times)}{wording.NBSP}×{wording.NBSP}{wording.money(amount, self.language)}"

    def shares(self, row: FollowUp) -> list[str]:
        """['долг 60 357 ₽', 'заказы 8 606 ₽']: what each of several reasons adds; empty when they do not add up."""
        amounts = {}
        for reason in dict.fromkeys([row.rule_id, *row.reasons]):
            told = row.outlets if reason == reasons.MISSED_ORDER else _of(row, reason)
            amounts[reason] = sum((one.money_at_risk for one in told), Decimal(0))
        amounts = {reason: amount for reason, amount in amounts.items() if amount}
        if len(amounts) < 2 or sum(amounts.values()) != row.money_at_risk:
            return []
        shown = {reason: wording.whole_roubles(amount) for reason, amount in amounts.items()}
        # The first one stands in the fact as well: what rounding leaves over goes to the last.
        shown[list(shown)[-1]] += wording.whole_roubles(row.money_at_risk) - sum(shown.values())
        return [
            reasons.share(reason, wording.money(Decimal(amount), self.language), self.language)
            for reason, amount in shown.items()
        ]

    def money_line(self, row: FollowUp) -> str:
        """'36 800 ₽ (2 × 18 400 ₽)', '68 963 ₽ (долг 60 357 ₽, заказы 8 606 ₽)'."""
        if not row.money_at_risk:
            return self._labels["no_money"]
        amount = wording.money(row.money_at_risk, self.language)
        if row.reasons == (reasons.MONTHLY,):
            amount = self._labels["monthly"].format(amount)
        parts = self._money_parts(row)
        return f"{amount} ({', '.join(parts)})" if parts else amount

    def _money_parts(self, row: FollowUp) -> list[str]:
        """How the money is made up: a product, or what each reason adds."""
        arithmetic = self.arithmetic(row)
        return [arithmetic] if arithmetic else self.shares(row)

    def place(self, row: FollowUp) -> str:
        """Outlet, its format and address, for a client with one outlet; how many outlets for a bigger one."""
        debtor = _first(row, "overdue_debt") if row.rule_id == "overdue_debt" else None
        entity = debtor.facts.get("legal_entity_name") or "" if debtor else ""
        inn = debtor.facts.get("inn") if debtor else None
        said = ["" if entity == clean(row.client_name) else entity, f"{self._labels['inn']} {inn}" if inn else ""]
        if row.outlets_total > 1:
            said.append(wording.count(row.outlets_total, "outlet", self.language))
        elif row.outlets or row.findings:
            own = row.outlets[0] if row.outlets else None
            facts = row.findings[0].facts if row.findings else {}
            name = clean(own.name if own else facts.get("name"))
            said.append("" if name == clean(row.client_name) else name)
            said.append(clean(own.format if own else facts.get("format")))
            said.append(_street(own.address if own else facts.get("address")))
        return ", ".join(part for part in said if part)

    def outlet_lines(self, row: FollowUp, limit: int) -> list[str]:
        """What the fact leaves open: one line per affected outlet of a client with several, and per other reason.

        The last of more than `limit` lines counts those left out.
        """
        lines = self._lines(row)
        if len(lines) <= limit:
            return lines
        return [*lines[:limit], self._labels["more_lines"].format(len(lines) - limit)]

    def data_line(self, row: FollowUp) -> str:
        """'Данные 1С на 06:10'."""
        return self._text("data_line", row.as_of, data_as_of=row.data_as_of)

    # --- task ---

    def task_title(self, row: FollowUp) -> str:
        """Title of the CRM task, at most 250 characters."""
        return _clip(self._text("task_title", row.as_of, row=row, what=self._what(row)), TITLE_LIMIT)

    def task_description(self, row: FollowUp, phone: str | None) -> str:
        """Body of the CRM task in BBCode."""
        place = self.place(row) if row.outlets_total <= 1 or row.rule_id == "overdue_debt" else ""
        lines = [*([place] if place else []), *self.outlet_lines(row, OUTLETS_NAMED_IN_TASK)]
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
        total = sum((row.money_at_risk for row in rows), Decimal(0))
        subject = self.list_subject(rows, supplement=supplement)
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

    def list_subject(self, rows: Sequence[FollowUp], *, supplement: bool = False) -> str:
        """'Список на вт 10.06: 12 клиентов, под риском 248 300 ₽'. `rows` must not be empty."""
        total = sum((row.money_at_risk for row in rows), Decimal(0))
        return self._text("subject_list", rows[0].as_of, supplement=supplement, clients=len(rows), money_at_risk=total)

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

    def logistics_letter(self, as_of: date, rows: Sequence[LogisticsRow]) -> Letter:
        """What we did not bring, for logistics. `rows` must not be empty."""
        money = sum((row.missing_amount for row in rows), Decimal(0))
        subject = self._text("subject_logistics", as_of, rows=list(rows), money=money)
        heading, _, lead = subject.partition(": ")
        shown = [self._logistics_row(number, row, as_of) for number, row in enumerate(rows, 1)]
        columns = {"fact": self._labels["fact"], "money": self._labels["missing"], "ask": self._labels["ask"]}
        lead = f"{lead[0].upper()}{lead[1:]}."
        return self._letter(subject, heading=heading, lead=lead, rows=shown, notes=[], footer="", columns=columns)

    def _logistics_row(self, number: int, row: LogisticsRow, as_of: date) -> dict[str, Any]:
        client, outlet = clean(row.client_name), clean(row.outlet_name)
        place = [clean(row.branch_name), "" if outlet == client else outlet, _street(row.address)]
        lines = [
            self._labels["brought"].format(name=clean(name), shipped=_quantity(shipped), ordered=_quantity(ordered))
            for name, ordered, shipped in row.positions
        ]
        money = wording.money(row.missing_amount, self.language)
        more = len(lines) - OUTLETS_NAMED_IN_TASK
        if more > 0:
            lines = [*lines[:OUTLETS_NAMED_IN_TASK], self._labels["more_lines"].format(more)]
        return {
            "number": number,
            "client": client,
            "place": ", ".join(part for part in place if part),
            "phone": None,
            "fact": self._text("logistics_fact", as_of, row=row),
            "outlet_lines": lines,
            "money": money,
            "money_parts": [],
            "money_line": f"{self._labels['missing']}: {money}",
            "ask": self._text("logistics_ask", as_of, row=row),
        }

    def _mail_row(self, number: int, row: FollowUp, contacts: Contacts) -> dict[str, Any]:
        lines = self.outlet_lines(row, OUTLETS_NAMED_IN_MAIL)
        is_monthly = row.reasons == (reasons.MONTHLY,)
        return {
            "number": number,
            "client": clean(row.client_name),
            "place": self.place(row),
            "phone": contacts.phone_of(row),
            "fact": self.fact(row, named=False),
            "outlet_lines": lines,
            "money": wording.money(row.money_at_risk, self.language) if row.money_at_risk else "—",
            "money_parts": [self._labels["monthly"].format("").strip()] if is_monthly else self._money_parts(row),
            "money_line": self._labels["at_risk"].format(self.money_line(row)),
            "ask": self.ask(row),
        }

    def _what(self, row: FollowUp) -> str:
        """'Нет заказа в 3 из 7 точек', 'Просрочен долг; нет заказа вовремя'."""
        said = []
        for reason in dict.fromkeys([row.rule_id, *row.reasons]):
            affected = len(row.outlets) if reason == reasons.MISSED_ORDER else len(_of(row, reason))
            if row.outlets_total > 1 and affected and _at_outlets(row, reason):
                what = reasons.name(reason, self.language, many=True)
                total = row.outlets_total
                text = self._text(
                    "fact_outlets", row.as_of, what=what, affected=affected, total=total, named=[], more=0
                )
                said.append(text.rstrip("."))
            else:
                said.append(reasons.name(reason, self.language))
        return "; ".join([said[0], *(part[0].lower() + part[1:] for part in said[1:])])

    def _fact_of(self, row: FollowUp, reason: str, *, named: bool) -> str:
        findings = _of(row, reason)
        if reason == reasons.MISSED_ORDER:
            if row.outlets_total <= 1 and row.outlets:
                return self.outlet_fact(row.outlets[0], row.as_of)
            outlets = [outlet.name for outlet in row.outlets]
        elif findings and (not _at_outlets(row, reason) or (len(findings) == 1 and row.outlets_total <= 1)):
            return self.finding_fact(findings[0], row.as_of)
        else:
            outlets = [finding.name for finding in findings]
        affected = max(len(outlets), 1)
        names = [clean(name) for name in outlets if clean(name)]
        for shown in range(min(len(names), 6) if named else 0, -1, -1):
            text = self._text(
                "fact_outlets",
                row.as_of,
                what=reasons.name(reason, self.language, many=True),
                affected=affected,
                total=row.outlets_total,
                named=names[:shown],
                more=affected - shown if shown else 0,
            )
            if len(text) <= FACT_LIMIT:
                return text
        return _clip(text, FACT_LIMIT)

    def _lines(self, row: FollowUp) -> list[str]:
        several = row.outlets_total > 1
        lines = []
        for reason in dict.fromkeys([row.rule_id, *row.reasons]):
            is_main = reason == row.rule_id
            if reason == reasons.MISSED_ORDER and several:
                lines += [
                    self._text("outlet_line", row.as_of, name=clean(outlet.name), outlet=outlet, missed=_missed(outlet))
                    for outlet in row.outlets
                ]
            elif reason == reasons.MISSED_ORDER and not is_main:
                lines += [self.outlet_fact(outlet, row.as_of) for outlet in row.outlets]
            elif reason != reasons.MISSED_ORDER:
                findings = _of(row, reason)
                for place, finding in enumerate(findings):
                    fact = self.finding_fact(finding, row.as_of)
                    entity = finding.facts.get("legal_entity_name") or ""
                    if several and finding.outlet_id:
                        lines.append(f"{clean(finding.name)}: {fact}")
                    elif not is_main or place:
                        # Of several debtors the first is the fact of the row.
                        lines.append(f"{entity}: {fact}" if entity and len(findings) > 1 else fact)
        return lines

    def _ask_about(self, row: FollowUp, reason: str) -> str:
        if reason == reasons.MISSED_ORDER:
            only = row.outlets[0] if len(row.outlets) == 1 else None
            return self._text(
                "ask",
                row.as_of,
                outlets_affected=len(row.outlets),
                positions=only.usual_positions if only else None,
                usual_amount=only.median_amount if only else None,
                shipping_day=row.next_shipping_day,
                little_history=row.little_history,
            )
        finding = _first(row, reason)
        if finding is None:
            return ""
        values = next(reasons.wordings(finding, self.language))
        candidates = finding.facts.get("candidates") or []
        stocked = reasons.in_stock(candidates)
        values = {**values, "in_stock": stocked, "shipping_day": row.next_shipping_day}
        return self._text(f"reason/{reason}_ask", row.as_of, **values)

    def _letter(
        self,
        subject: str,
        *,
        heading: str,
        lead: str,
        rows: Sequence[Mapping[str, Any]],
        notes: Sequence[str],
        footer: str,
        columns: Mapping[str, str] | None = None,
    ) -> Letter:
        """columns: other headings than those of a rep's list, by name."""
        labels = {**self._labels, **(columns or {})}
        values = {
            "language": self.language,
            "subject": subject,
            "heading": heading,
            "lead": lead,
            "rows": rows,
            "notes": notes,
            "footer": footer,
            "columns": [
                (labels["number"], "3%", "right"),
                (labels["client"], "25%", "left"),
                (labels["fact"], "37%", "left"),
                (labels["money"], "12%", "right"),
                (labels["ask"], "23%", "left"),
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
        number=lambda value: wording.number(value, language),
        pieces=lambda value: wording.pieces(value, language),
        ordinal=lambda value: wording.ordinal(value, language),
        count=lambda number, noun: wording.count(len(number) if isinstance(number, list) else number, noun, language),
        form=lambda number, noun: wording.form(number, noun, language),
        money=lambda amount: wording.money(Decimal(amount), language),
        whole=lambda amount: wording.whole_roubles(Decimal(amount)),
        list_of=lambda items: wording.list_of(items, language),
        quoted=lambda name: wording.quoted(clean(name), language),
    )

    @pass_context
    def papers(context: Context, term: Mapping[str, Any]) -> str:
        """' (УТ-1187 от 02.05, срок 16.05)' of the debt that is oldest."""
        return wording.papers(term, context["as_of"], language)

    environment.globals["papers"] = papers
    return environment


def _of(row: FollowUp, reason: str) -> list[Finding]:
    return [finding for finding in row.findings if finding.reason == reason]


def _first(row: FollowUp, reason: str) -> Finding | None:
    return next(iter(_of(row, reason)), None)


def _at_outlets(row: FollowUp, reason: str) -> bool:
    """Whether the reason is about outlets, and not about the client as a whole."""
    return reason == reasons.MISSED_ORDER or any(finding.outlet_id for finding in _of(row, reason))


def _street(address: str | None) -> str:
    """The address without its postcode: nobody drives by it."""
    return _POSTCODE.sub("", clean(address))


def _missed(outlet: OutletEvidence) -> int:
    return max(outlet.missed_cycles, len(outlet.missed_due_dates))


def _quantity(value: Any) -> str:
    """'5', '2.5'."""
    return f"{Decimal(str(value)).normalize():f}"


def _no_bbcode(text: str) -> str:
    """Square brackets of names must not become markup."""
    return text.replace("[", "(").replace("]", ")")


def _clip(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip(" ,;:") + "…"
