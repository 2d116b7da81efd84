"""`polka mapping`: which field of a base feeds which column."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from clients.errors import ClientError
from clients.onec import OnecClient
from extractors.core.errors import SpecError
from extractors.onec.doctor import failed_report
from extractors.onec.metadata import published
from extractors.onec.proposal import LOOK, Proposal, best_match, propose, shipped
from polka.commands.doctor import NoConnection, chosen_sources, find_connection
from polka.doctor_words import explain
from warehouse import clock
from warehouse.settings import get_settings

app = typer.Typer(help="Field mappings of the bases.", no_args_is_help=True)
# The mapping itself may go to standard output.
console = Console(stderr=True)
_NAME = re.compile(r"^[a-z][a-z0-9_]{0,49}$")


@app.callback()
def _group() -> None:
    """Keeps `init` a command of its own, also while it is the only one."""


@app.command()
def init(
    source: Annotated[str, typer.Option(help="Id of the source whose base is asked")],
    output: Annotated[
        Path | None, typer.Option(help="New file, for instance extractors/mappings/onec/my_base.yml; else the screen")
    ] = None,
    like: Annotated[
        str | None, typer.Option(help="Shipped mapping to begin from; the best match when left out")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file")] = False,
) -> None:
    """Propose a mapping for a base, from what its $metadata says it has."""
    name = output.stem if output else source
    if not _NAME.match(name):
        raise typer.BadParameter(f"'{name}': small Latin letters, digits and _, please", param_hint="--output")
    if output and output.exists() and not force:
        raise typer.BadParameter(f"{output} exists; --force overwrites it", param_hint="--output")
    if like is not None and like not in shipped():
        raise typer.BadParameter(f"'{like}' is unknown; there are: {', '.join(shipped())}", param_hint="--like")
    proposal = _proposal(source, name, like)
    if output is None:
        typer.echo(proposal.text, nl=False)
    else:
        output.write_text(proposal.text, encoding="utf-8")
    _tell(proposal, source, name, output)


def _proposal(source: str, name: str, like: str | None) -> Proposal:
    settings = get_settings()
    config = chosen_sources(source)[0]
    try:
        connection = find_connection(config)
    except NoConnection as problem:
        report = failed_report(config, None, clock.now(), problem.cause)
        raise _refusal(explain(report.trouble, report, settings.language, config.connection)) from None
    try:
        with OnecClient(connection, timeout=settings.request_timeout_seconds, attempts=2) as client:
            client.greet()
            base = published(
                client.metadata, settings.var_dir, config.id, connection.url, clock.now(), max_age=timedelta(0)
            )
        return propose(base, name=name, title=f"{config.id} ({name})", like=like or best_match(base, shipped()))
    except SpecError as error:
        raise _refusal(str(error)) from None
    except ClientError as error:
        report = failed_report(config, connection, clock.now(), error)
        raise _refusal(explain(report.trouble, report, settings.language, config.connection)) from None


def _refusal(text: str) -> typer.Exit:
    console.print(text, style="red", markup=False, highlight=False)
    return typer.Exit(1)


def _tell(proposal: Proposal, source: str, name: str, output: Path | None) -> None:
    russian = get_settings().language == "ru"
    if proposal.missing:
        names = ", ".join(proposal.missing[:20]) + (" …" if len(proposal.missing) > 20 else "")
        told = (
            f"Нет в базе, хотя {proposal.compared_with} требует: {names}."
            if russian
            else (f"Required by {proposal.compared_with} and not in the base: {names}.")
        )
        console.print(told, markup=False, highlight=False)
    if russian:
        text = f"За основу взята настройка {proposal.compared_with}; строк с пометкой {LOOK} {proposal.to_look_at}."
        if output:
            text += f" Просмотрите {output}, впишите источнику {source} mapping: {name} и запустите polka doctor."
    else:
        text = f"Made from {proposal.compared_with}; {proposal.to_look_at} lines are marked {LOOK}"
        if output:
            text += f" Read {output}, name it as mapping: {name} of the source {source}, and run polka doctor."
    console.print(text, markup=False, highlight=False, soft_wrap=True)
