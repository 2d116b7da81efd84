"""`polka doctor`: can this base be read as its mapping wants, and if not, what is to be done."""

import contextlib
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from yaml import YAMLError

from clients.connection import Connection
from extractors.core.trial import EntityTrial
from extractors.onec.doctor import CLOCK_TOLERANCE, EntityReport, Estimate, SourceReport, examine, failed_report
from polka import jobs
from polka.doctor_words import Language, advice
from polka.portal_report import examine_portal, portal_payload, show_portal
from warehouse import clock
from warehouse.settings import get_settings
from warehouse.sources import SourceConfig, load_sources

console = Console()
_GOOD, _BAD, _SO_SO, _UNKNOWN = "[green]✓[/green]", "[red]✗[/red]", "[yellow]![/yellow]", "[dim]–[/dim]"
_HEADERS = {
    "ru": ("Объект 1С", "Есть", "Поля", "Права", "Записей", "Страница"),
    "en": ("Object of 1C", "There", "Fields", "Rights", "Records", "Page"),
}
_RIGHTS = {
    "ru": {"all": _GOOD, "part": "[yellow]часть[/yellow]", "none": "[red]нет[/red]", "unknown": _UNKNOWN},
    "en": {"all": _GOOD, "part": "[yellow]part[/yellow]", "none": "[red]none[/red]", "unknown": _UNKNOWN},
}


class NoConnection(LookupError):
    """The connection of a source is not defined, or cannot be read; `cause` says which."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


def doctor(
    source: Annotated[str | None, typer.Option(help="Id of the source; every configured one when left out")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as JSON on standard output")] = False,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait for one answer of 1C")] = 120.0,
) -> None:
    """Examine the configured bases, portals and folders and say in plain words what to do. Reads only.

    Exit code 0: everything that the mappings require is there. 1: something is missing. 2: no such source.
    """
    settings = get_settings()
    language = settings.language
    listed: list[dict[str, Any]] = []
    for config in chosen_sources(source):
        with _retries_untold(), _waiting(config.id, as_json) as say:
            found = _examined(config, timeout, say) if config.kind == "onec" else _portal_examined(config, say)
        if isinstance(found, SourceReport):
            listed.append(_payload(config, found, language))
            if not as_json:
                show(console, config, found, language)
        else:
            address, trials = found
            listed.append(portal_payload(config, address, trials))
            if not as_json:
                show_portal(console, config, address, trials, language)
    fit = all(one["fit"] for one in listed)
    if as_json:
        typer.echo(json.dumps({"fit": fit, "sources": listed}, ensure_ascii=False, indent=2, default=str))
    raise typer.Exit(0 if fit else 1)


@contextlib.contextmanager
def _retries_untold() -> Iterator[None]:
    """Retries are part of the findings: the clients' warnings would say them twice."""
    logger = logging.getLogger("clients")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def chosen_sources(source_id: str | None) -> list[SourceConfig]:
    """The configured sources, or the one asked for. Raises typer.BadParameter in plain words."""
    path = get_settings().sources
    try:
        configured = load_sources()
    except FileNotFoundError:
        raise typer.BadParameter(
            f"there is no sources file {path}; POLKA_SOURCES names another", param_hint="POLKA_SOURCES"
        ) from None
    except (ValidationError, YAMLError) as error:
        raise typer.BadParameter(f"the sources file {path} is not right: {error}", param_hint="POLKA_SOURCES") from None
    chosen = [config for config in configured if source_id in (None, config.id)]
    if not chosen:
        known = ", ".join(config.id for config in configured)
        raise typer.BadParameter(f"'{source_id}' is not in {path}; there are: {known}", param_hint="--source")
    return chosen


def find_connection(config: SourceConfig) -> Connection:
    """The source's connection, as the loads will find it. Raises NoConnection."""
    # Airflow must not settle in the home folder, nor write its log lines among ours.
    os.environ.setdefault("AIRFLOW_HOME", str(get_settings().var_dir / "airflow-run"))
    with contextlib.redirect_stdout(sys.stderr):
        from airflow.sdk.exceptions import AirflowNotFoundException

        try:
            return jobs.connection(config.connection)
        except AirflowNotFoundException:
            raise NoConnection("no_connection") from None
        except Exception:  # whatever Airflow says of it may hold the connection itself, password included
            raise NoConnection("bad_connection") from None


def show(screen: Console, config: SourceConfig, report: SourceReport, language: Language) -> None:
    """Print one source: the way to it, its objects, what to do, the first load."""
    russian = language == "ru"
    screen.print(f"[bold]{config.id}[/bold]  {escape(report.address)}  ({escape(config.mapping)})", highlight=False)
    if report.address:
        screen.print(_marked(_way(report, russian)))
    if report.entities:
        screen.print(_table(report, language))
    items = advice(report, language, config.connection)
    if items:
        screen.print("[bold]Что сделать[/bold]" if russian else "[bold]What to do[/bold]")
        screen.print(_marked([(_BAD if item.level == "problem" else _SO_SO, escape(item.text)) for item in items]))
    if report.estimate is not None:
        screen.print(_first_load(report, report.estimate, russian), highlight=False)
    if report.is_fit:
        verdict = "Базу можно загружать." if russian else "This base can be loaded."
        screen.print(f"[green]{verdict}[/green]")
    else:
        verdict = "Пока загружать нельзя." if russian else "It cannot be loaded yet."
        screen.print(f"[red]{verdict}[/red]")
    screen.print()


def _examined(config: SourceConfig, timeout: float, progress: Callable[[str], None]) -> SourceReport:
    settings = get_settings()
    try:
        connection = find_connection(config)
    except NoConnection as problem:
        return failed_report(config, None, clock.now(), problem.cause)
    return examine(
        config,
        connection,
        var_dir=settings.var_dir,
        now=clock.now,
        timeout=timeout,
        page_target_bytes=settings.onec_page_target_bytes,
        parallel=settings.onec_prefetch,
        progress=progress,
    )


def _portal_examined(config: SourceConfig, progress: Callable[[str], None]) -> tuple[str, tuple[EntityTrial, ...]]:
    try:
        connection = find_connection(config)
    except NoConnection as problem:
        said = f"connection '{config.connection}' is not defined or cannot be read ({problem.cause})"
        return "", (EntityTrial("—", "trouble", 0.0, message=said, cause=problem.cause),)
    return connection.url, examine_portal(config, connection, progress)


@contextlib.contextmanager
def _waiting(source_id: str, quiet: bool) -> Iterator[Callable[[str], None]]:
    if quiet or not console.is_terminal:
        yield lambda step: None
        return
    with console.status(source_id) as status:
        yield lambda step: status.update(f"{source_id}: {escape(step)}")


def _way(report: SourceReport, russian: bool) -> list[tuple[str, str]]:
    """The checks on the way to the data: mark and words."""

    def mark(state: bool | None) -> str:
        return _UNKNOWN if state is None else _GOOD if state else _BAD

    def words(in_russian: str, in_english: str) -> str:
        return in_russian if russian else in_english

    took = report.first_answer_seconds
    answered = words("не отвечает", "does not answer") if report.reachable is False else words("отвечает", "answers")
    if took is not None:
        answered += words(f", первый ответ за {took:.1f} с", f", first answer in {took:.1f} s")
    tls = {
        "verified": (
            _GOOD if report.reachable else _UNKNOWN,
            words("TLS: сертификат проверен", "TLS: certificate verified"),
        ),
        "failed": (_BAD, words("TLS: не устанавливается", "TLS: cannot be set up")),
        "plain": (_SO_SO, words("TLS: нет, http://", "TLS: none, http://")),
        "plain_local": (_GOOD, words("TLS: не нужен, эта же машина", "TLS: not needed on this machine")),
        "unknown": (_UNKNOWN, "TLS"),
    }[report.tls]
    if tls[0] == _UNKNOWN:
        tls = (_UNKNOWN, "TLS")
    skew = report.clock_skew_seconds
    close = None if skew is None else abs(skew) <= CLOCK_TOLERANCE.total_seconds()
    clock_text = words("часы", "clock")
    if skew is not None:
        apart = words(f"расхождение {skew:+.0f} с", f"{skew:+.0f} s apart")
        # The header that tells it knows whole seconds only.
        clock_text += ": " + (words("совпадают", "in step") if abs(skew) < 2 else apart)
    sets = report.published_sets
    composition = words("состав OData", "OData composition")
    if sets is not None:
        composition += words(f": объектов {sets}", f": {sets} objects")
    return [
        (mark(report.reachable), answered),
        tls,
        (mark(report.login_accepted), words("логин и пароль", "login and password")),
        (_UNKNOWN if close is None else _GOOD if close else _SO_SO, clock_text),
        (mark(None if sets is None else sets > 0), composition),
    ]


def _marked(lines: list[tuple[str, str]]) -> Table:
    grid = Table.grid(padding=(0, 1))
    for mark, text in lines:
        grid.add_row("", mark, text)
    return grid


def _table(report: SourceReport, language: Language) -> Table:
    table = Table(show_edge=False, pad_edge=False)
    for number, header in enumerate(_HEADERS[language]):
        table.add_column(header, justify="right" if number >= 4 else "left", overflow="fold")
    for entity in report.entities:
        table.add_row(
            entity.source_set,
            _published(entity, language),
            _fields(entity, language),
            _RIGHTS[language][entity.rights],
            "–" if entity.rows is None else _number(entity.rows),
            _page(entity, language),
        )
    return table


def _published(entity: EntityReport, language: Language) -> str:
    if entity.published:
        return _GOOD
    if entity.optional:
        return "[yellow]нет, можно[/yellow]" if language == "ru" else "[yellow]no, optional[/yellow]"
    return "[red]нет[/red]" if language == "ru" else "[red]no[/red]"


def _fields(entity: EntityReport, language: Language) -> str:
    if not entity.published:
        return _UNKNOWN
    required = sum(not gap.optional for gap in entity.gaps)
    optional = len(entity.gaps) - required
    parts = []
    if required:
        parts.append(f"[red]{'не хватает' if language == 'ru' else 'missing'} {required}[/red]")
    if optional:
        parts.append(f"[yellow]{'необязат.' if language == 'ru' else 'optional'} −{optional}[/yellow]")
    return ", ".join(parts) or _GOOD


def _page(entity: EntityReport, language: Language) -> str:
    sample = entity.sample
    if entity.trouble is not None:
        return "[red]ошибка[/red]" if language == "ru" else "[red]error[/red]"
    if sample is None:
        return "–"
    return f"{_number(sample.page_rows)} / {sample.page_seconds:.2f} {'с' if language == 'ru' else 's'}"


def _first_load(report: SourceReport, estimate: Estimate, russian: bool) -> str:
    if not estimate.sampled_rows and estimate.unknown:
        if russian:
            return "[bold]Первая загрузка:[/bold] оценить нельзя, пока ни один объект не читается."
        return "[bold]First load:[/bold] cannot be estimated while no object can be read."
    megabytes = estimate.bytes / 1e6
    minutes = _minutes(estimate.seconds_at_least, estimate.seconds_at_most, russian)
    left_out = ", ".join(entity.source_set for entity in report.entities if entity.entity in estimate.unknown)
    rows, sampled = _number(estimate.rows), _number(estimate.sampled_rows)
    if russian:
        text = f"[bold]Первая загрузка:[/bold] записей {rows}, около {megabytes:.1f} МБ, {minutes}."
        text += (
            f" Оценка: число записей назвала сама 1С, объём и время пересчитаны с {sampled} прочитанных записей "
            f"({estimate.sampled_bytes / 1e6:.1f} МБ). Больший срок: страницы по одной, как при замере; меньший: "
            f"крупные страницы, по {estimate.parallel} сразу, если 1С держит темп. Рабочий день базы и наша запись в "
            "PostgreSQL не учтены."
        )
        if left_out:
            text += f" Не вошли: {left_out}."
        return text
    text = (
        f"[bold]First load:[/bold] {rows} records, about {megabytes:.1f} MB, {minutes}. An estimate: 1C itself "
        f"counted the records, size and time are scaled up from {sampled} records read "
        f"({estimate.sampled_bytes / 1e6:.1f} MB). The longer time: pages one by one, as measured; the shorter: large "
        f"pages, {estimate.parallel} at once, if 1C keeps its pace. People at work in the base and our writing to "
        "PostgreSQL are not in it."
    )
    if left_out:
        text += f" Not included: {left_out}."
    return text


def _minutes(least: float, most: float, russian: bool) -> str:
    if most < 60:
        return "меньше минуты" if russian else "less than a minute"
    low, high = max(round(least / 60), 1), round(most / 60)
    return (f"{low}" if low >= high else f"{low}–{high}") + (" мин" if russian else " min")


def _number(value: int) -> str:
    return f"{value:,}".replace(",", " ")


def _payload(config: SourceConfig, report: SourceReport, language: Language) -> dict[str, Any]:
    payload = asdict(report)
    for entity, found in zip(payload["entities"], report.entities, strict=True):
        entity["fit"] = found.is_fit
        for gap, known in zip(entity["gaps"], found.gaps, strict=True):
            gap["name"] = known.name
    return {
        **payload,
        "asked_at": report.asked_at.isoformat(),
        "fit": report.is_fit,
        "advice": [asdict(item) for item in advice(report, language, config.connection)],
    }
