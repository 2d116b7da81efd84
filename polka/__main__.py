"""`python -m polka` is the command `polka`."""

from polka.cli import app

app()
