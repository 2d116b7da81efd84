"""The command `polka`. Each group of commands lives in a module of its own under polka/commands."""

import typer

from polka.commands import (
    backfill,
    backtest,
    bench,
    check_world,
    doctor,
    forecast,
    mapping,
    past_list,
    precision,
    preview,
    reference,
    reland,
    replay,
    run,
    stack,
    telegram,
)

app = typer.Typer(
    help="Polka: the warehouse for distributors.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they would print local variables, secrets among them
)

app.command()(stack.demo)
app.command()(stack.up)
app.command()(stack.down)
app.command("db-url")(stack.db_url)
app.command()(stack.migrate)
app.command(hidden=True)(stack.clean)
app.command("watch-database", hidden=True)(stack.watch_database)
app.command()(run.run)
app.command()(doctor.doctor)
app.add_typer(mapping.app, name="mapping")
app.add_typer(reference.app, name="reference")
app.add_typer(telegram.app, name="telegram")
app.command()(preview.preview)
app.command("list")(past_list.past_list)
app.command()(precision.precision)
app.command()(backtest.backtest)
app.command()(forecast.forecast)
app.command()(backfill.backfill)
app.command()(replay.replay)
app.command("check-world")(check_world.check_world)
app.command()(reland.reland)
app.command()(bench.bench)
