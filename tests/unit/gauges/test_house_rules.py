"""Rules of the house that no ready-made gauge knows."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml
from setuptools import find_namespace_packages

from warehouse.settings import PROJECT_ROOT

PRODUCT = ["alerts", "clients", "expectations", "extractors", "forecasting", "polka", "warehouse"]
BINARY = {".png", ".jpg", ".jpeg", ".gif", ".ico", ".gz", ".zst", ".xlsx", ".woff2", ".pdf", ".zip", ".bin"}


def tracked() -> list[Path]:
    """Files under version control; outside a git checkout, everything but what was made here."""
    listed = subprocess.run(
        ["git", "-c", "core.quotePath=off", "ls-files", "-z"], cwd=PROJECT_ROOT, capture_output=True, check=False
    )
    if listed.returncode == 0 and listed.stdout:
        paths = [PROJECT_ROOT / name for name in listed.stdout.decode().split("\0") if name]
    else:
        made = {".git", ".venv", "var", "target", "logs", "__pycache__"}
        paths = [path for path in PROJECT_ROOT.rglob("*") if not made & set(path.relative_to(PROJECT_ROOT).parts)]
    return [path for path in paths if path.is_file()]


def texts() -> Iterator[tuple[str, str]]:
    for path in tracked():
        if path.suffix not in BINARY:
            yield str(path.relative_to(PROJECT_ROOT)), path.read_text(encoding="utf-8", errors="replace")


def modules(*packages: str) -> Iterator[tuple[str, ast.Module]]:
    for package in packages:
        for path in sorted((PROJECT_ROOT / package).rglob("*.py")):
            yield str(path.relative_to(PROJECT_ROOT)), ast.parse(path.read_text(encoding="utf-8"))


def test_no_address_of_a_package_index_and_no_path_of_a_machine() -> None:
    index = re.compile(r"--(extra-)?index-url\s+\S|--trusted-host\s+\S|https?://\S*/(simple|pypi)/", re.IGNORECASE)
    home = re.compile(r"(?<![\w.])/(home|root|Users|work)/\w")
    own = "tests/unit/gauges/"
    found = [
        f"{name}: {match.group(0)}"
        for name, text in texts()
        if not name.startswith(own)
        for pattern in (index, home)
        for match in pattern.finditer(text)
    ]
    assert found == []


def test_nothing_private_is_tracked() -> None:
    names = {str(path.relative_to(PROJECT_ROOT)) for path in tracked()}
    private = ["*.env", ".env", "*.pem", "*.key", "var/*", ".venv/*", "*.pyc", "*/target/*", "*.sqlite", "*.db"]
    assert [name for name in names if any(fnmatch(name, pattern) for pattern in private)] == []


@pytest.mark.parametrize("lock", sorted(path.name for path in (PROJECT_ROOT / "requirements").glob("*.txt")))
def test_locks_pin_everything_by_hash_and_name_no_address(lock: str) -> None:
    text = (PROJECT_ROOT / "requirements" / lock).read_text(encoding="utf-8")
    assert "://" not in text
    joined = text.replace("\\\n", " ")
    lines = [line.strip() for line in joined.splitlines() if line.strip() and not line.strip().startswith("#")]
    assert lines
    for line in lines:
        assert re.match(r"[A-Za-z0-9._-]+(\[[\w,.-]+\])?==\S+ ", line), line
        assert "--hash=sha256:" in line, line


def test_the_environment_is_read_in_two_places_only() -> None:
    readers = set()
    for name, tree in modules(*PRODUCT):
        for node in ast.walk(tree):
            attribute = node.attr if isinstance(node, ast.Attribute) else None
            imported = {alias.name for alias in node.names} if isinstance(node, ast.ImportFrom) else set()
            if attribute in {"environ", "getenv", "putenv"} or imported & {"environ", "getenv"}:
                readers.add(name)
    assert {name for name in readers if name != "warehouse/settings.py" and not name.startswith("polka/")} == set()


def test_there_is_one_clock() -> None:
    """`now` and `today` of the machine are asked in warehouse/clock.py and nowhere else in the product."""
    askers = set()
    for name, tree in [*modules(*PRODUCT), *modules("dags")]:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = ast.unparse(node.func.value)
                asks_date = node.func.attr in {"now", "today", "utcnow"} and owner.split(".")[-1] in {
                    "datetime",
                    "date",
                }
                asks_time = node.func.attr in {"time", "time_ns", "localtime", "gmtime"} and owner == "time"
                if asks_date or asks_time:
                    askers.add(name)
    assert askers - {"warehouse/clock.py"} == set()


def test_sql_of_the_models_does_not_ask_the_clock() -> None:
    clock = re.compile(r"\b(current_date|current_timestamp|localtimestamp|now\(\)|clock_timestamp\(\))", re.IGNORECASE)
    found = []
    for path in sorted((PROJECT_ROOT / "dbt_project").rglob("*.sql")):
        if not {"target", "dbt_packages"} & set(path.parts):
            code = re.sub(r"--[^\n]*|\{#.*?#\}", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
            found += [f"{path.name}: {match.group(0)}" for match in clock.finditer(code)]
    assert found == []


DEAD_AIRFLOW_2 = [
    "execution_date",
    "schedule_interval",
    "next_ds",
    "prev_ds",
    "tomorrow_ds",
    "yesterday_ds",
    "days_ago",
    "sla_miss_callback",
    "SubDagOperator",
    "provide_context",
    "airflow.operators.",
    "airflow.utils.dates",
    "airflow webserver",
    "airflow db init",
    "airflow dags backfill",
]


def test_nothing_speaks_airflow_2() -> None:
    found = [
        f"{name}: {word}"
        for name, text in texts()
        if name.split("/")[0] in {*PRODUCT, "dags", "deploy", "docs", "README.md", "README.ru.md", "Makefile"}
        for word in DEAD_AIRFLOW_2
        if word in text
    ]
    assert found == []


def test_dag_files_are_seen_by_airflow_and_not_by_dbt() -> None:
    files = sorted((PROJECT_ROOT / "dags").glob("*.py"))
    assert files
    for path in files:
        text = path.read_text(encoding="utf-8").lower()
        # Airflow's discovery skips files without these two words, silently.
        assert "airflow" in text
        assert "dag" in text
        # dbt imports every module whose name begins so, as its plugin.
        assert not path.name.startswith("dbt_")


def test_no_module_is_called_utils() -> None:
    vague = {"utils.py", "util.py", "helpers.py", "helper.py", "common.py", "misc.py"}
    assert [name for name, _ in modules(*PRODUCT, "simulators", "dags") if Path(name).name in vague] == []


@pytest.mark.parametrize("package", PRODUCT)
def test_data_files_travel_with_their_package(package: str) -> None:
    """Every YAML, SQL, JSON and template beside the code is matched by the package data of pyproject.toml."""
    import tomllib

    settings = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    patterns = settings["package-data"]["*"]
    found = set(find_namespace_packages(str(PROJECT_ROOT), include=settings["packages"]["find"]["include"]))
    for path in (PROJECT_ROOT / package).rglob("*"):
        if path.is_file() and path.suffix not in {".py", ".pyc"} and "__pycache__" not in path.parts:
            owner = ".".join(path.parent.relative_to(PROJECT_ROOT).parts)
            assert owner in found, f"{path.name}: {owner} is not a package"
            assert any(fnmatch(path.name, pattern) for pattern in patterns), f"{path.name} would stay behind"


def test_the_contracts_data_are_there() -> None:
    for path in [
        "expectations/suites/landing.yml",
        "expectations/suites/marts.yml",
        "expectations/suites/list.yml",
        "extractors/onec/entities.yml",
        "extractors/mappings/onec/ut11.yml",
        "warehouse/migrations/0001_schemas_and_roles.sql",
        "config/sources.yml",
        "dbt_project/dbt_project.yml",
    ]:
        assert (PROJECT_ROOT / path).stat().st_size > 0, path


def test_yaml_keys_do_not_repeat() -> None:
    """PyYAML keeps the last of two equal keys; yamllint refuses them."""
    rules = yaml.safe_load((PROJECT_ROOT / ".yamllint").read_text(encoding="utf-8"))["rules"]
    assert rules["key-duplicates"] == "enable"


def test_import_rules_cover_every_package() -> None:
    text = (PROJECT_ROOT / ".importlinter").read_text(encoding="utf-8")
    packages = {path.parent.name for path in PROJECT_ROOT.glob("*/__init__.py")} - {"tests", "tools"}
    roots = set(re.findall(r"^    (\w+)$", text.split("include_external_packages")[0], re.M))
    assert roots == packages


@pytest.mark.parametrize("page", ["README.md", "README.ru.md", "CONTRIBUTING.md"])
def test_commands_that_the_pages_promise_exist(page: str) -> None:
    text = (PROJECT_ROOT / page).read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL))
    targets = set(re.findall(r"^([a-z][a-z-]*):", (PROJECT_ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    promised = set(re.findall(r"(?<![\w/])make ([a-z][a-z-]*)", code))
    assert promised, f"{page} names no make target"
    assert promised <= targets
    asked = set(re.findall(r"(?<![\w/.-])polka ([a-z][a-z-]*)", code))
    assert asked <= polka_commands()


def test_links_of_the_pages_lead_somewhere() -> None:
    broken = []
    for path in tracked():
        if path.suffix == ".md":
            text = path.read_text(encoding="utf-8")
            for target in re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", text):
                if not (path.parent / target).exists():
                    broken.append(f"{path.relative_to(PROJECT_ROOT)}: {target}")
    assert broken == []


def polka_commands() -> set[str]:
    done = subprocess.run(
        [sys.executable, "-m", "polka", "--help"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    )
    return set(re.findall(r"^\W*([a-z][a-z-]+)\s", done.stdout, re.M))
