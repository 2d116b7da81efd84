"""`polka list`: a past day's list, as it was known then or as it is known now. Nothing is sent."""

import json
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from alerts import wording
from alerts.followups import FollowUp
from alerts.render import Renderer
from alerts.wording import Language
from polka.commands.days import parse_day
from polka.commands.stack import plainly
from polka.lists import show_list
from polka.past_lists import Difference, Document, KnownNow, KnownThen, NoSuchList, known_now, known_then
from warehouse.db import database_url
from warehouse.rule_replay import RulesDoNotCompile
from warehouse.settings import Settings, get_settings

console = Console()


class As(StrEnum):
    """Whose knowledge."""

    KNOWN_THEN = "known-then"
    KNOWN_NOW = "known-now"


_WORDS: dict[Language, dict[str, str]] = {
    "ru": {
        "never_sent": "В этот день ничего не отправляли; строки — из витрины.",
        "messages": "Сообщений: {count}, слово в слово как отправлены: {exact}.",
        "phones": "Остальные отличаются телефонами клиентов: они с тех пор изменились, а прежние нигде не хранятся.",
        "no_words": "Тексты этого дня не сохранены: он отправлен до того, как их стали хранить.",
        "same": "Список сегодня был бы тем же.",
        "client": "Клиент",
        "change": "Что изменилось",
        "document": "Из-за чего",
        "added": "добавился бы: {what}",
        "gone": "не попал бы (был: {what})",
        "changed": "иначе: {fields}",
        "no_document": "документы клиента те же: изменились правила, справочники или ответы",
        "late": "пришёл позже",
        "back_dated": "внесён задним числом",
        "edited": "изменён",
        "deleted": "удалён или распроведён",
        "of": "{kind} {number} от {dated}: {cause}, {landed}",
        "undated": "{kind} {number}: {cause}, {landed}",
        "compared": "{day}, канал {channel}: было {then}, сегодня было бы {now}. Данные списка — на {at}.",
    },
    "en": {
        "never_sent": "Nothing was sent that day; the rows are those of the mart.",
        "messages": "Messages: {count}, word for word as they were sent: {exact}.",
        "phones": "The others differ by clients' phones, which have changed since: the former ones are kept nowhere.",
        "no_words": "The texts of that day were not kept: it was sent before they were.",
        "same": "The list would be the same today.",
        "client": "Client",
        "change": "What has changed",
        "document": "Because of",
        "added": "would be added: {what}",
        "gone": "would not be there (was: {what})",
        "changed": "otherwise: {fields}",
        "no_document": "the client's documents are the same: rules, reference data or answers have changed",
        "late": "came later",
        "back_dated": "entered later with an earlier date",
        "edited": "edited",
        "deleted": "deleted or unposted",
        "of": "{kind} {number} of {dated}: {cause}, {landed}",
        "undated": "{kind} {number}: {cause}, {landed}",
        "compared": "{day}, channel {channel}: {then} then, {now} today. The list's data are of {at}.",
    },
}
_KINDS: dict[Language, dict[str, str]] = {
    "ru": {
        "order": "заказ",
        "shipment": "реализация",
        "return": "возврат",
        "bank_receipt": "поступление на счёт",
        "cash_receipt": "приходный ордер",
        "card_receipt": "оплата картой",
        "agreement": "соглашение",
    },
    "en": {
        "order": "order",
        "shipment": "shipment",
        "return": "return",
        "bank_receipt": "bank receipt",
        "cash_receipt": "cash receipt",
        "card_receipt": "card receipt",
        "agreement": "agreement",
    },
}
_FIELDS: dict[Language, dict[str, str]] = {
    "ru": {
        "reasons": "причины",
        "money_at_risk": "сумма под риском",
        "outlets": "пропущенные заказы",
        "findings": "прочие факты",
        "manager": "менеджер",
    },
    "en": {
        "reasons": "reasons",
        "money_at_risk": "money at risk",
        "outlets": "missed orders",
        "findings": "other facts",
        "manager": "rep",
    },
}
DOCUMENTS_NAMED = 3


def past_list(
    day: Annotated[str, typer.Option(help="The day of the list, YYYY-MM-DD")],
    as_: Annotated[
        As, typer.Option("--as", help="As it was delivered, or as the rules make it from today's data")
    ] = As.KNOWN_THEN,
    rep: Annotated[str | None, typer.Option(help="A part of the rep's name")] = None,
    channel: Annotated[str | None, typer.Option(help="bitrix24, email, ...; all of them when absent")] = None,
    words: Annotated[bool, typer.Option("--words", help="The messages themselves, as they were sent")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Rows, messages and differences as JSON")] = False,
) -> None:
    """Rebuild a past list. A past list is never sent."""
    on = parse_day(day, "--day")
    settings = get_settings()
    with plainly():
        try:
            if as_ is As.KNOWN_THEN:
                then = known_then(on, database_url(), channel=channel)
                _show_then(then, rep, settings, words=words, as_json=as_json)
            else:
                with console.status("dbt"):
                    now = known_now(on, database_url(), channel=channel)
                _show_now(now, rep, settings, as_json=as_json)
        except (NoSuchList, RulesDoNotCompile) as problem:
            console.print(f"[red]{escape(str(problem))}[/red]", highlight=False)
            raise typer.Exit(1) from None


def _is_of(row: FollowUp | None, rep: str | None) -> bool:
    return row is not None and (rep is None or rep.lower() in (row.manager_name or "").lower())


def _show_then(then: KnownThen, rep: str | None, settings: Settings, *, words: bool, as_json: bool) -> None:
    rows = [row for row in then.rows if _is_of(row.follow_up, rep)]
    keys = {row.follow_up.followup_id for row in rows}
    messages = [message for message in then.messages if keys.intersection(message.followup_ids)]
    if as_json:
        said = {
            "day": then.as_of.isoformat(),
            "rows": [{"channel": r.channel, "state": r.state, **_row(r.follow_up)} for r in rows],
            "messages": [asdict(message) for message in messages],
        }
        typer.echo(json.dumps(said, ensure_ascii=False, indent=2, default=str))
        return
    if words:
        for message in messages:
            # The bytes themselves: no wrapping, no markup.
            typer.echo(message.text)
            typer.echo()
        return
    text = _WORDS[settings.language]
    for name in dict.fromkeys(row.channel for row in rows):
        if name:
            console.rule(name)
        show_list(console, [row.follow_up for row in rows if row.channel == name], settings)
        states = [row.state for row in rows if row.channel == name and row.state not in (None, "sent")]
        for state in sorted({state for state in states if state}):
            console.print(f"{state}: {states.count(state)}", highlight=False)
    if all(row.state is None for row in rows):
        console.print(text["never_sent"])
    elif not messages and any(row.state == "sent" for row in rows):
        console.print(text["no_words"])
    elif messages:
        exact = sum(message.is_exact for message in messages)
        console.print(text["messages"].format(count=len(messages), exact=exact), highlight=False)
        if exact < len(messages):
            console.print(text["phones"])


def _show_now(now: KnownNow, rep: str | None, settings: Settings, *, as_json: bool) -> None:
    rows = [row for row in now.rows if _is_of(row, rep)]
    differences = [one for one in now.differences if _is_of(one.then, rep) or _is_of(one.now, rep)]
    if as_json:
        said = {
            "day": now.as_of.isoformat(),
            "channel": now.channel,
            "then_at": now.then_at.isoformat(),
            "rows": [_row(row) for row in rows],
            "differences": [_difference(one) for one in differences],
        }
        typer.echo(json.dumps(said, ensure_ascii=False, indent=2, default=str))
        return
    text = _WORDS[settings.language]
    show_list(console, rows, settings)
    console.print(
        text["compared"].format(
            day=wording.day(now.as_of, now.as_of),
            channel=now.channel,
            then=len(rows) - sum(one.change == "added" for one in differences)
            + sum(one.change == "gone" for one in differences),
            now=len(rows),
            at=f"{now.then_at.astimezone():%d.%m.%Y %H:%M}",
        ),
        highlight=False,
    )  # fmt: skip
    if not differences:
        console.print(text["same"])
        return
    table = Table(show_edge=False, pad_edge=False)
    for header in ("client", "change", "document"):
        table.add_column(text[header], overflow="fold")
    for one in differences:
        row = one.now or one.then
        assert row is not None  # noqa: S101  -- a difference has a side
        table.add_row(escape(row.client_name), escape(_change(one, settings)), escape(_because(one, settings.language)))
    console.print(table)


def _change(one: Difference, settings: Settings) -> str:
    language = settings.language
    row = one.now or one.then
    what = Renderer(language, settings.time_zone).fact(row) if row else ""
    fields = ", ".join(_FIELDS[language][name] for name in one.fields)
    return _WORDS[language][one.change].format(what=what, fields=fields)


def _because(one: Difference, language: Language) -> str:
    if not one.documents:
        return _WORDS[language]["no_document"]
    said = [_named(document, language) for document in one.documents[:DOCUMENTS_NAMED]]
    if len(one.documents) > DOCUMENTS_NAMED:
        said.append(f"+ {len(one.documents) - DOCUMENTS_NAMED}")
    return "\n".join(said)


def _named(document: Document, language: Language) -> str:
    words = _WORDS[language]
    return words["of" if document.dated_on else "undated"].format(
        kind=_KINDS[language][document.kind],
        number=document.number or document.record_id,
        dated=f"{document.dated_on:%d.%m.%Y}" if document.dated_on else "",
        cause=words[document.cause],
        landed=f"{document.landed_at.astimezone():%d.%m.%Y %H:%M}",
    )


def _row(row: FollowUp) -> dict[str, Any]:
    return {
        "followup_id": row.followup_id,
        "client_id": row.client_id,
        "client_name": row.client_name,
        "manager_name": row.manager_name,
        "reasons": list(row.reasons),
        "rule": f"{row.rule_id} {row.rule_version}",
        "money_at_risk": row.money_at_risk,
        "list_rank": row.list_rank,
    }


def _difference(one: Difference) -> dict[str, Any]:
    return {
        "change": one.change,
        "fields": list(one.fields),
        "then": _row(one.then) if one.then else None,
        "now": _row(one.now) if one.now else None,
        "documents": [asdict(document) for document in one.documents],
    }
