"""A day's list on the screen, in the words that the reps read."""

from datetime import date
from decimal import Decimal

from rich.console import Console
from rich.table import Table

from alerts import wording
from alerts.followups import FollowUp, follow_up_from_payload
from alerts.render import Renderer
from warehouse.db import connect
from warehouse.settings import Settings

LINES_SHOWN = 4
HEADERS = {
    "ru": ("№", "Клиент", "Что случилось", "Под риском", "Что сделать"),
    "en": ("#", "Client", "What happened", "At risk", "What to do"),
}


def read_list(url: str | None, as_of: date, rep: str | None = None) -> list[FollowUp]:
    """Rows of marts.follow_up of one day, by rep and rank; `rep` matches a part of the name."""
    with connect(url) as conn:
        rows = conn.execute(
            """
            select to_jsonb(f)::text
            from marts.follow_up as f
            where f.as_of = %(as_of)s and (%(rep)s::text is null or f.manager_name ilike '%%' || %(rep)s || '%%')
            order by f.manager_name, f.list_rank, f.client_id
            """,
            {"as_of": as_of, "rep": rep},
        ).fetchall()
    return [follow_up_from_payload(row[0]) for row in rows]


def show_list(console: Console, rows: list[FollowUp], settings: Settings) -> None:
    """Print one table per rep and a closing line."""
    renderer = Renderer(settings.language, settings.time_zone)
    for manager in dict.fromkeys(row.manager_name for row in rows):
        table = Table(title=manager or "—", title_justify="left", title_style="bold", expand=True)
        for header in HEADERS[settings.language]:
            table.add_column(header, overflow="fold", justify="right" if header in ("№", "#") else "left")
        for row in rows:
            if row.manager_name == manager:
                table.add_row(
                    str(row.list_rank),
                    row.client_name,
                    "\n• ".join([renderer.fact(row, named=False), *renderer.outlet_lines(row, LINES_SHOWN)]),
                    renderer.money_line(row),
                    renderer.ask(row),
                )
        console.print(table)
    reps = len({row.manager_name for row in rows})
    total = wording.money(sum((row.money_at_risk for row in rows), Decimal(0)), settings.language)
    if settings.language == "ru":
        console.print(f"Клиентов: {len(rows)}, менеджеров: {reps}, под риском {total}", highlight=False)
    else:
        console.print(f"Clients: {len(rows)}, reps: {reps}, at risk {total}", highlight=False)
