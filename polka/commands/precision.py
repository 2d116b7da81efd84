"""`polka precision`: how often each reason was worth its call."""

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from alerts import reasons, wording
from alerts.wording import Language
from polka.commands.stack import plainly
from warehouse.db import connect
from warehouse.settings import get_settings

console = Console()
_HEADERS: dict[Language, tuple[str, ...]] = {
    "ru": ("Причина", "Сообщили", "По делу", "Зря", "Неизвестно", "Точность", "Пришло"),
    "en": ("Reason", "Told", "Right", "Wrong", "Unknown", "Precision", "Came"),
}
_ALL: dict[Language, str] = {"ru": "Все причины", "en": "All reasons"}
_FIELDS = (
    "as_of", "instance", "manager_name", "rule_id", "told_rows", "right_rows", "wrong_rows", "unknown_rows",
    "precision_percent", "came_amount",
)  # fmt: skip


def precision(
    rep: Annotated[str | None, typer.Option(help="A part of the rep's name; all reps together when absent")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The figures as JSON")] = False,
) -> None:
    """Show the precision of the reasons over the last weeks, by source (and rep)."""
    with plainly(), connect() as conn:
        rows = conn.execute(
            """
            select p.as_of, p.instance, m.manager_name, p.rule_id, p.told_rows, p.right_rows, p.wrong_rows,
                   p.unknown_rows, p.precision_percent, p.came_amount
            from marts.follow_up_precision as p
            left join intermediate.int_manager_contact as m
                on m.instance = p.instance and m.manager_id = p.manager_id
            where case when %(rep)s::text is null then p.manager_id = 'all'
                       else m.manager_name ilike '%%' || %(rep)s || '%%' end
            order by p.instance, m.manager_name, p.rule_id = 'all', p.told_rows desc, p.rule_id
            """,
            {"rep": rep},
        ).fetchall()
    found = [dict(zip(_FIELDS, row, strict=True)) for row in rows]
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2, default=str))
        return
    language = get_settings().language
    if not found:
        said = {"ru": "Строк, срок которых прошёл, пока нет.", "en": "There are no rows yet whose time is over."}
        console.print(said[language])
        return
    for title in dict.fromkeys(_title(row) for row in found):
        _show(title, [row for row in found if _title(row) == title], language)


def _title(row: dict[str, Any]) -> str:
    return ", ".join(part for part in (row["instance"], row["manager_name"]) if part)


def _show(title: str, rows: list[dict[str, Any]], language: Language) -> None:
    table = Table(title=escape(title), title_justify="left", show_edge=False, pad_edge=False)
    for number, header in enumerate(_HEADERS[language]):
        table.add_column(header, justify="right" if number else "left")
    for row in rows:
        share = row["precision_percent"]
        table.add_row(
            _ALL[language] if row["rule_id"] == "all" else reasons.name(row["rule_id"], language),
            *(str(row[name]) for name in ("told_rows", "right_rows", "wrong_rows", "unknown_rows")),
            "—" if share is None else f"{share:.0f} %",
            wording.money(row["came_amount"], language),
        )
    console.print(table)
