"""`python -m polka`: the same as the command `polka`."""

from polka.cli import app

if __name__ == "__main__":
    app(prog_name="polka")
