"""What `polka doctor` shows of a CRM portal or a folder of files."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from clients.connection import Connection
from clients.http import redact
from extractors.core.trial import EntityTrial, try_entities
from polka.doctor_words import Language
from warehouse.db import WarehouseNotStarted, connect
from warehouse.settings import get_settings
from warehouse.sources import SourceConfig

_HEADERS = {
    "ru": ("Что читаем", "Как", "Записей", "Не разобрано", "Секунд", "Что говорит источник"),
    "en": ("Entity", "State", "Records", "Rejected", "Seconds", "What the source says"),
}
_STATES = {
    "ru": {"read": "[green]✓[/green]", "absent": "[dim]нет[/dim]", "trouble": "[red]✗[/red]"},
    "en": {"read": "[green]✓[/green]", "absent": "[dim]absent[/dim]", "trouble": "[red]✗[/red]"},
}
_VERDICTS = {
    "ru": ("[green]Источник можно загружать.[/green]", "[red]Пока загружать нельзя.[/red]"),
    "en": ("[green]This source can be loaded.[/green]", "[red]It cannot be loaded yet.[/red]"),
}


def examine_portal(
    config: SourceConfig, connection: Connection, progress: Callable[[str], None]
) -> tuple[EntityTrial, ...]:
    """Try every entity. The warehouse must be there: limits and tokens are shared by way of it."""
    try:
        with connect():
            pass
    except WarehouseNotStarted as problem:
        return (EntityTrial("—", "trouble", 0.0, message=str(problem), cause="no_warehouse"),)
    return tuple(try_entities(config, connection, lambda: connect(autocommit=True), get_settings(), progress))


def show_portal(
    screen: Console, config: SourceConfig, address: str, trials: tuple[EntityTrial, ...], language: Language
) -> None:
    """Print one portal: a row for each entity, and the verdict."""
    screen.print(f"[bold]{config.id}[/bold]  {escape(redact(address))}  ({escape(config.mapping)})", highlight=False)
    table = Table(*_HEADERS[language])
    for trial in trials:
        table.add_row(
            trial.entity,
            _STATES[language][trial.state],
            str(trial.records) if trial.state == "read" else "",
            str(trial.rejected or ""),
            f"{trial.seconds:.1f}",
            escape(trial.message or ""),
        )
    screen.print(table)
    screen.print(_VERDICTS[language][0 if all(trial.is_fit for trial in trials) else 1])
    screen.print()


def portal_payload(config: SourceConfig, address: str, trials: tuple[EntityTrial, ...]) -> dict[str, Any]:
    """The same for `--json`."""
    return {
        "source": config.id,
        "mapping": config.mapping,
        "address": redact(address),
        "fit": all(trial.is_fit for trial in trials),
        "entities": [asdict(trial) for trial in trials],
    }
