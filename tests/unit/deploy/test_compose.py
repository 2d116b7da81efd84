"""docker-compose.yml without an engine: every command, path and variable it names exists in the project."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from make_env import env_text

from warehouse.settings import PROJECT_ROOT, Settings

COMPOSE: dict[str, Any] = yaml.safe_load((PROJECT_ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service["image"] == "polka:local"]
LASTING = [name for name in SERVICES if name != "migrate"]
DOCKERFILE = (PROJECT_ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
VARIABLE = re.compile(r"\$\{(\w+)(?:(:[-?])([^}]*))?\}")


def variables() -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for name, operator, rest in VARIABLE.findall((PROJECT_ROOT / "docker-compose.yml").read_text(encoding="utf-8")):
        found.setdefault(name, []).append((operator, rest))
    return found


def made_env() -> dict[str, str]:
    lines = [line for line in env_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_the_services_of_the_stack() -> None:
    assert set(SERVICES) == {"postgres", "migrate", "api-server", "scheduler", "dag-processor"}


@pytest.mark.parametrize("name", OURS)
def test_commands_exist(name: str) -> None:
    program, *arguments = SERVICES[name]["command"]
    if program == "python":
        script = arguments[0]
        assert (PROJECT_ROOT / script).is_file()
        assert script in copied_files(), f"{script} is not in the image"
    else:
        assert program == "airflow"
        assert arguments[0] in {"api-server", "scheduler", "dag-processor"}


def test_the_first_service_runs_commands_that_exist() -> None:
    spec = importlib.util.spec_from_file_location("deploy_migrate", PROJECT_ROOT / "deploy" / "migrate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    airflow, polka = module.STEPS
    assert airflow == ["airflow", "db", "migrate"]
    assert polka[1:] == ["-m", "polka", "migrate"]
    assert importlib.util.find_spec("polka.__main__") is not None


@pytest.mark.airflow
def test_airflow_knows_the_commands_settings_and_the_job_table_we_use() -> None:
    """Asked of the installed Airflow, so an upgrade that renames something is noticed."""
    code = """
import json, sys
from airflow.cli.cli_config import core_commands
from airflow.configuration import conf
from airflow.jobs.job import Job
sections = {name: sorted(section["options"]) for name, section in conf.configuration_description.items()}
json.dump({"commands": [c.name for c in core_commands], "table": Job.__tablename__,
           "columns": [c.name for c in Job.__table__.columns], "sections": sections}, sys.stdout)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    known = json.loads(done.stdout[done.stdout.index("{") :])
    assert {"api-server", "scheduler", "dag-processor", "db"} <= set(known["commands"])
    assert known["table"] == "job"
    assert {"job_type", "hostname", "state", "latest_heartbeat"} <= set(known["columns"])
    for variable in COMPOSE["x-polka"]["environment"]:
        if variable.startswith("AIRFLOW__"):
            _, section, option = variable.lower().split("__")
            assert option in known["sections"].get(section, []), variable


def test_polka_variables_are_settings() -> None:
    known = {f"POLKA_{field.upper()}" for field in Settings.model_fields}
    ours = {"POLKA_ADMIN_USER", "POLKA_ADMIN_PASSWORD", "POLKA_UI_PORT", "POLKA_POSTGRES_PORT"}  # compose's own
    named = {name for service in SERVICES.values() for name in service["environment"] if name.startswith("POLKA_")}
    named |= {name for name in variables() if name.startswith("POLKA_")}
    named |= {name for name in made_env() if name.startswith("POLKA_")}
    assert named - ours <= known
    assert "POLKA_DATABASE_URL" in named


def test_the_made_settings_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in made_env().items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.send is False
    assert settings.channels == ["bitrix24", "email"]


def test_every_secret_is_required_and_made() -> None:
    secrets = {name for name in variables() if re.search("PASSWORD|SECRET|KEY", name)}
    assert secrets == {
        "POSTGRES_PASSWORD",
        "WAREHOUSE_PASSWORD",
        "AIRFLOW_DATABASE_PASSWORD",
        "AIRFLOW_FERNET_KEY",
        "AIRFLOW_JWT_SECRET",
        "AIRFLOW_SECRET_KEY",
        "POLKA_ADMIN_PASSWORD",
        "POLKA_TOKEN_KEYS",
    }
    # An `.env` made by an earlier version goes on without this one: OAuth tokens are then stored as they are.
    optional = {"POLKA_TOKEN_KEYS"}
    for name in secrets:
        assert name in optional or all(
            operator == ":?" and "make env" in rest for operator, rest in variables()[name]
        ), name
        assert name in made_env()


def test_no_literal_password_anywhere() -> None:
    for name, service in SERVICES.items():
        for variable, value in service["environment"].items():
            if re.search("PASSWORD|SECRET|FERNET", variable):
                assert VARIABLE.fullmatch(str(value)), f"{name}: {variable} is written out"
            for password in re.findall(r"://[^:/@]+:([^@]*)@", str(value)):
                assert VARIABLE.fullmatch(password), f"{name}: a password is written out in {variable}"


def test_ports_are_open_to_this_machine_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_nobody_is_root_and_nobody_may_become_it(name: str) -> None:
    service = SERVICES[name]
    assert service["user"].split(":")[0] not in {"", "0", "root"}
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "privileged" not in service


def test_the_image_runs_as_the_user_of_compose() -> None:
    lines = DOCKERFILE.splitlines()
    assert lines[-2] == "USER polka"
    assert "useradd --uid 10001 --gid polka" in DOCKERFILE
    assert {SERVICES[name]["user"] for name in OURS} == {"10001:10001"}
    assert "--require-hashes -r requirements/runtime.txt" in DOCKERFILE


@pytest.mark.parametrize("name", LASTING)
def test_lasting_services_are_watched_and_restarted(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    check = service["healthcheck"]["test"]
    assert check[0] == "CMD"
    if name in OURS:
        assert check[1:3] == ["python", "deploy/healthcheck.py"]
        assert check[2] in copied_files()
    if name in {"scheduler", "dag-processor"}:
        # /health of a dead scheduler stays green for a while; a heartbeat does not.
        assert check[3] == "heartbeat"


def test_the_first_service_runs_once_and_the_others_wait_for_it() -> None:
    assert SERVICES["migrate"]["restart"] == "no"
    assert SERVICES["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    for name in set(OURS) - {"migrate"}:
        assert SERVICES[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}


def test_all_services_share_what_must_be_shared() -> None:
    shared = [
        "AIRFLOW__CORE__FERNET_KEY",
        "AIRFLOW__API_AUTH__JWT_SECRET",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
        "POLKA_DATABASE_URL",
        "POLKA_TOKEN_KEYS",
    ]
    for variable in shared:
        assert len({SERVICES[name]["environment"][variable] for name in OURS}) == 1
    url = SERVICES["scheduler"]["environment"]["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"]
    assert url == "http://api-server:8080/execution/"
    assert SERVICES["api-server"]["command"][-1] == "8080"


def test_mounted_files_exist_and_volumes_are_declared() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source, target, *mode = volume.split(":")
            assert target.startswith("/")
            if source.startswith("./"):
                assert (PROJECT_ROOT / source).exists(), source
                assert mode == ["ro"]
            else:
                assert source in COMPOSE["volumes"]
    # The image of PostgreSQL 18 keeps its data in a folder per version below this one.
    assert "postgres-data:/var/lib/postgresql" in SERVICES["postgres"]["volumes"]


def test_the_image_holds_every_package_and_every_path_it_needs() -> None:
    packages = {path.parent.name for path in PROJECT_ROOT.glob("*/__init__.py")} - {"simulators", "tests", "tools"}
    copied = copied_files()
    assert packages <= copied
    assert {"dags", "dbt_project", "config", "requirements/runtime.txt"} <= copied
    for path in copied:
        assert (PROJECT_ROOT / path).exists(), path
    assert not copied & {"tests", "simulators", ".env", "."}
    allowed = {
        line[1:].strip() for line in (PROJECT_ROOT / ".dockerignore").read_text("utf-8").splitlines() if line[:1] == "!"
    }
    assert {path.split("/")[0] for path in copied} <= allowed


def test_database_roles_of_the_urls_are_the_ones_created() -> None:
    script = (PROJECT_ROOT / "deploy" / "postgres" / "10-databases.sh").read_text(encoding="utf-8")
    for url in (
        SERVICES["scheduler"]["environment"]["POLKA_DATABASE_URL"],
        SERVICES["scheduler"]["environment"]["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"],
    ):
        role, database = re.findall(r"//(\w+):.*@postgres:5432/(\w+)$", url)[0]
        assert f"create role {role} login" in script
        assert f"create database {database} owner {role}" in script
    for variable in re.findall(r'"\$(\w+)"', script):
        assert variable == "POSTGRES_USER" or variable in SERVICES["postgres"]["environment"]


def copied_files() -> set[str]:
    sources: set[str] = set()
    for line in DOCKERFILE.splitlines():
        if line.startswith("COPY "):
            sources |= set(line.split()[1:-1])
    return sources


def test_make_env_is_a_target_and_its_files_stay_private(tmp_path: Path) -> None:
    from make_env import write_private

    target = tmp_path / ".env"
    assert write_private(target, env_text())
    first = target.read_text(encoding="utf-8")
    assert target.stat().st_mode & 0o777 == 0o600
    assert not write_private(target, env_text()), "secrets in use must not be replaced"
    assert target.read_text(encoding="utf-8") == first
    ignored = (PROJECT_ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {".env", "connections.env"} <= set(ignored)
    assert re.search(r"^env:", (PROJECT_ROOT / "Makefile").read_text(encoding="utf-8"), re.M)


def test_made_secrets_are_long_different_and_safe_in_a_url() -> None:
    one, other = made_env(), made_env()
    secrets = [name for name in one if re.search("PASSWORD|SECRET|KEY", name)]
    assert all(one[name] != other[name] for name in secrets)
    assert all(re.fullmatch(r"[\w=-]{20,}", one[name]) for name in secrets)
    from cryptography.fernet import Fernet

    Fernet(one["AIRFLOW_FERNET_KEY"])
    Fernet(one["POLKA_TOKEN_KEYS"])
