"""First service of the compose stack: migrate Airflow's metadata and the warehouse, make sure the admin exists.

Runs to its end before the others start; every step may be repeated.
"""

import os
import subprocess
import sys

STEPS = [
    ["airflow", "db", "migrate"],
    [sys.executable, "-m", "polka", "migrate"],
]


def main() -> int:
    for step in STEPS:
        code = subprocess.call(step)
        if code:
            return code
    return create_admin()


def create_admin() -> int:
    """Create the administrator of the UI; an existing one keeps the password that was given in the UI."""
    who = os.environ["POLKA_ADMIN_USER"]
    # In this process, not on a command line: other processes could read the password there.
    from airflow.cli.cli_parser import get_parser

    arguments = [
        *("users", "create", "--username", who, "--role", "Admin"),
        *("--firstname", "Polka", "--lastname", "Admin", "--email", f"{who}@localhost"),
        *("--password", os.environ["POLKA_ADMIN_PASSWORD"]),
    ]
    parsed = get_parser().parse_args(arguments)
    parsed.func(parsed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
