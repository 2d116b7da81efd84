"""`polka backtest`: what a rule would have said in the past, with other numbers."""

import json
from datetime import date
from decimal import Decimal
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from alerts import reasons, wording
from alerts.wording import Language
from polka.backtest import RULES, SOON_WORKING_DAYS, Backtest, Measured, NothingToReplay
from polka.backtest import backtest as replay
from polka.commands.days import parse_day
from polka.commands.stack import plainly
from warehouse.db import connect, database_url
from warehouse.rule_replay import RulesDoNotCompile, parameters, read_settings
from warehouse.settings import get_settings

console = Console()
_WORDS: dict[Language, dict[str, str]] = {
    "ru": {
        "present": "Сейчас",
        "rows": "Строк всего",
        "rows_a_day": "Строк в день на менеджера",
        "busiest": "… у самого занятого менеджера",
        "false_alarms": f"Ложная тревога: пришло само за {SOON_WORKING_DAYS} раб. дня",
        "self_cured": "Пришло само позже, до конца срока",
        "money": "Под риском всего",
        "money_a_row": "… на строку",
        "delay": "Дней от срока до строки",
        "span": "«{name}», {first:%d.%m.%Y} – {last:%d.%m.%Y}: просмотрено рабочих дней {looked} из {days}, "
        "менеджеров {reps}.",
        "apart": "Исчезло бы строк: {gone}, добавилось бы: {come}.",
        "about": "Данные — какими они известны сегодня; ничего не отправлено, витрины не тронуты.",
    },
    "en": {
        "present": "Now",
        "rows": "Rows in all",
        "rows_a_day": "Rows a day per rep",
        "busiest": "… of the busiest rep",
        "false_alarms": f"False alarm: came by itself within {SOON_WORKING_DAYS} working days",
        "self_cured": "Came by itself later, within the window",
        "money": "At risk in all",
        "money_a_row": "… a row",
        "delay": "Days from the due day to the row",
        "span": "'{name}', {first} – {last}: looked at {looked} of {days} working days, {reps} reps.",
        "apart": "Rows that would go: {gone}, that would come: {come}.",
        "about": "Data as they are known today; nothing was sent, the marts were not touched.",
    },
}


def backtest(
    rule: Annotated[str, typer.Option(help=f"One of: {', '.join(RULES)}")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="A number of the rule to try: name=value, see dbt_project.yml")
    ] = None,
    months: Annotated[int, typer.Option(min=1, max=60, help="How far back")] = 12,
    every: Annotated[int, typer.Option(min=1, max=20, help="Look at each so many-th working day; 1 is exact")] = 5,
    until: Annotated[str | None, typer.Option(help="Last day, YYYY-MM-DD; the last built day when absent")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The figures as JSON")] = False,
) -> None:
    """Try a rule on past days with other numbers: rows a day, false alarms, roubles, delay. Sends nothing."""
    if rule not in RULES:
        raise typer.BadParameter(f"'{rule}' is no rule; there are: {', '.join(RULES)}", param_hint="--rule")
    try:
        settings = read_settings(set_ or [])
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--set") from None
    url = database_url()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with plainly(), Progress(*columns, console=console, transient=True, disable=as_json) as bar:
        task = bar.add_task("")

        def told(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        try:
            last = parse_day(until, "--until") if until else _last_built()
            found = replay(rule, settings, last, url, months=months, every=every, progress=told)
        except (NothingToReplay, RulesDoNotCompile) as error:
            console.print(f"[red]{error}[/red]", highlight=False)
            raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps(found.as_json(), ensure_ascii=False, indent=2, default=str))
    else:
        show(console, found, get_settings().language)


def show(screen: Console, found: Backtest, language: Language) -> None:
    """Both settings side by side."""
    words = _WORDS[language]
    screen.print(
        words["span"].format(
            name=reasons.name(found.rule, language),
            first=found.first,
            last=found.last,
            looked=found.days_looked_at,
            days=found.working_days,
            reps=found.reps,
        ),
        highlight=False,
    )
    present = parameters()
    table = Table(show_edge=False, pad_edge=False)
    table.add_column("")
    settings = [found.present, *([found.changed] if found.changed else [])]
    changed = found.changed.settings if found.changed else {}
    table.add_column("\n".join([words["present"], *(f"{name} = {present[name]}" for name in changed)]), justify="right")
    if found.changed:
        table.add_column("\n".join(["", *(f"{name} = {value}" for name, value in changed.items())]), justify="right")
    lines = [_lines(one, language) for one in settings]
    for name in ("rows", "rows_a_day", "busiest", "false_alarms", "self_cured", "money", "money_a_row", "delay"):
        table.add_row(words[name], *(line[name] for line in lines))
    screen.print(table)
    if found.changed:
        screen.print(words["apart"].format(gone=found.only_present, come=found.only_changed), highlight=False)
    screen.print(words["about"], style="dim", highlight=False)


def _lines(one: Measured, language: Language) -> dict[str, str]:
    def number(value: float | None, digits: int) -> str:
        text = "—" if value is None else f"{value:.{digits}f}"
        return text.replace(".", ",") if language == "ru" else text

    def share(count: int | None) -> str:
        if count is None:
            return "—"
        return f"{count} ({number(100 * count / one.judged, 0)} %)" if one.judged else str(count)

    each = one.money / one.rows if one.rows else Decimal(0)
    return {
        "rows": str(one.rows),
        "rows_a_day": number(one.rows_a_day_per_rep, 2),
        "busiest": number(one.busiest_rep_a_day, 2),
        "false_alarms": share(one.false_alarms),
        "self_cured": share(one.self_cured),
        "money": wording.money(one.money, language),
        "money_a_row": wording.money(each, language),
        "delay": number(one.delay_days, 1),
    }


def _last_built() -> date:
    with connect() as conn:
        row = conn.execute("select max(as_of) from marts.order_expectation").fetchone()
    if not row or row[0] is None:
        raise NothingToReplay("no marts have been built yet: `polka run --no-send` builds today's")
    day: date = row[0]
    return day
