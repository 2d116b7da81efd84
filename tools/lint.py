"""Runs every gauge of the code, one line each with its duration; the output of those that fail follows."""

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VAR = ROOT / "var"
BIN = Path(sys.executable).parent
DBT_OPTIONS = ["--project-dir", "dbt_project", "--profiles-dir", "dbt_project", "--quiet"]
DBT_OPTIONS += ["--vars", "{as_of: 2025-01-01}", "--log-path", str(VAR / "dbt" / "lint")]
YAML = ["config", "dbt_project", "expectations", "extractors", "deploy", "docker-compose.yml"]

GAUGES = {
    "ruff (style, errors, DAG rules)": ["ruff", "check", "."],
    "mypy (types)": ["mypy"],
    "import-linter (import rules)": ["lint-imports"],
    "yamllint (YAML)": ["yamllint", "--strict", *YAML],
    "sqlfluff (SQL)": ["sqlfluff", "lint", "--processes", "2", "--disable-progress-bar", "dbt_project"],
    "dbt parse": ["dbt", "parse", *DBT_OPTIONS],
    "dbt-bouncer (dbt conventions)": ["dbt-bouncer", "run", "--config-file", "dbt_project/dbt-bouncer.yml"],
}


def main() -> int:
    failed = {}
    for name, command in GAUGES.items():
        print(f"  {name:<34}", end="", flush=True)
        started = time.monotonic()
        outcome = subprocess.run(
            [str(BIN / command[0]), *command[1:]],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        verdict = "ok" if outcome.returncode == 0 else "FAILED"
        print(f"{verdict:<8}{time.monotonic() - started:6.1f} s", flush=True)
        if outcome.returncode != 0:
            failed[name] = outcome.stdout.decode(errors="replace")
    for name, output in failed.items():
        print(f"\n--- {name}\n{output.strip()}")
    return 1 if failed else 0


def environment() -> dict[str, str]:
    """`dbt parse` wants its profile complete, though it never connects."""
    placeholder = {"HOST": "127.0.0.1", "PORT": "5432", "USER": "nobody", "PASSWORD": "", "DBNAME": "polka"}
    return {
        **os.environ,
        **{f"POLKA_DBT_{name}": value for name, value in placeholder.items()},
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DBT_VERSION_CHECK": "false",
        "PYTHONUTF8": "1",
    }


if __name__ == "__main__":
    sys.exit(main())
