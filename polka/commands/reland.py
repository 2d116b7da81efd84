"""`polka reland`: rebuild a landing table from the archived pages, without asking the source."""

from typing import Annotated

import typer
from rich.console import Console

from extractors.core.run import entity_names
from extractors.core.run import reland as rebuild
from warehouse.sources import load_sources

console = Console()


def reland(
    entity: Annotated[str, typer.Option(help="Landing entity, for instance order; 'all' for every one")],
    source: Annotated[str | None, typer.Option(help="Id of the source; every configured one when left out")] = None,
) -> None:
    """Rebuild landing from the archive: after a mapping got a new column, or a decoding fault was mended."""
    sources = [config for config in load_sources() if source in (None, config.id)]
    if not sources:
        raise typer.BadParameter(f"'{source}' is not in the sources file", param_hint="--source")
    for config in sources:
        known = entity_names(config)
        if entity not in ("all", *known):
            raise typer.BadParameter(f"'{entity}' is unknown; there are {', '.join(known)}", param_hint="--entity")
        for name in known if entity == "all" else [entity]:
            outcome = rebuild(name, config.id, triggered_by="polka reland")
            console.print(
                f"{config.id} {name}: {outcome.pages} pages, {outcome.rows_inserted} records, "
                f"{outcome.rows_changed} later versions, {outcome.rows_deleted} deletions, "
                f"{outcome.rows_rejected} rejected"
            )
