"""The rules of the marts for another day, or with other numbers, on temporary tables of one connection.

dbt compiles the very SQL that builds the marts, once, with a day that never was in the place of the business date.
Models whose rows depend on that day are made anew as temporary tables; everything else is read from the marts as they
stand. Nothing of the marts is written and nothing can be sent.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from psycopg import sql

from warehouse.db import Connection
from warehouse.dbt_runner import DBT_PROJECT, files_of, run_dbt

# In the place of the business date while compiling; no document bears it.
_NO_DAY = "1111-11-11"
# Models that keep a day's rows beside those of other days: for one day they are made anew, too.
_KEPT_BY_DAY = "delete_as_of"


class RulesDoNotCompile(RuntimeError):
    """dbt could not compile the rules with these numbers; the message holds its last lines."""


class UnknownParameter(ValueError):
    """No rule has a parameter of that name; the message names the nearest."""


@dataclass(frozen=True)
class _Model:
    name: str
    relation: str
    is_view: bool
    statement: str


@dataclass(frozen=True)
class Rules:
    """Compiled models in the order in which they are made; the last is the one that was asked for."""

    models: tuple[_Model, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(model.name for model in self.models)


def parameters() -> dict[str, Any]:
    """The numbers of all rules as dbt_project.yml has them."""
    content = yaml.safe_load((DBT_PROJECT / "dbt_project.yml").read_text(encoding="utf-8"))
    return dict(content["vars"])


def read_settings(said: Sequence[str]) -> dict[str, Any]:
    """'min_occasions=4' -> {'min_occasions': 4}. Raises UnknownParameter, or ValueError for what is no setting."""
    known = parameters()
    found: dict[str, Any] = {}
    for setting in said:
        name, mark, text = setting.partition("=")
        name = name.strip()
        if not mark or not text.strip():
            raise ValueError(f"a setting is name=value, not '{setting}'")
        if name not in known:
            near = get_close_matches(name, known, n=3, cutoff=0.4)
            raise UnknownParameter(f"no rule has '{name}'" + (f"; perhaps {', '.join(near)}?" if near else ""))
        value = yaml.safe_load(text)
        usual = known[name]
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if isinstance(usual, int | float) and not isinstance(usual, bool) and not is_number:
            raise ValueError(f"{name} is a number like {usual}, not '{text}'")
        if isinstance(usual, list | dict) and not isinstance(value, type(usual)):
            raise ValueError(f"{name} is written like {json.dumps(usual, ensure_ascii=False)}")
        found[name] = value
    return found


def compile_rules(model: str, url: str, *, settings: Mapping[str, Any] | None = None) -> Rules:
    """The SQL of `model` and of all it is made of, with the present numbers or with `settings` in their place.

    Takes some seconds. Raises RulesDoNotCompile.
    """
    said = json.dumps({**(settings or {}), "as_of": _NO_DAY})
    folder = files_of(url)
    folder.mkdir(parents=True, exist_ok=True)
    # Beside the files of a build, which may be running.
    with TemporaryDirectory(dir=folder, prefix="rules-") as own:
        code, tail = run_dbt(
            ["compile", "--select", f"+{model}", "--indirect-selection", "empty", "--vars", said],
            url,
            files=Path(own),
        )
        if code:
            raise RulesDoNotCompile("\n".join(tail))
        manifest = json.loads((Path(own) / "target" / "manifest.json").read_text(encoding="utf-8"))
    return Rules(_in_order(manifest["nodes"], model))


@contextmanager
def rules_of_day(conn: Connection, rules: Rules, day: date) -> Iterator[None]:
    """Inside, every model of `rules` is there as pg_temp.<name> with the rows of `day`; afterwards nothing is left.

    Opens a transaction and rolls it back.
    """
    with conn.transaction(force_rollback=True):
        conn.execute("set local jit = off")
        for model in rules.models:
            kind = sql.SQL("view" if model.is_view else "table")
            name = sql.Identifier(model.name)
            body = sql.SQL(model.statement.replace(_NO_DAY, day.isoformat()))
            conn.execute(sql.SQL("create temporary {} {} as {}").format(kind, name, body))
            if not model.is_view:
                conn.execute(sql.SQL("analyze {}").format(sql.Identifier("pg_temp", model.name)))
        yield


def _in_order(nodes: Mapping[str, Any], model: str) -> tuple[_Model, ...]:
    """The models that depend on the day, each after those it reads."""
    depends: dict[str, bool] = {}
    order: list[str] = []
    last = next(key for key, node in nodes.items() if node["resource_type"] == "model" and node["name"] == model)

    def visit(key: str) -> bool:
        if key in depends:
            return depends[key]
        node = nodes[key]
        kept = node["config"]["materialized"] == "incremental"
        if node["resource_type"] != "model" or (kept and _KEPT_BY_DAY not in json.dumps(node["config"]["pre-hook"])):
            depends[key] = False
            return False
        found = [visit(above) for above in node["depends_on"]["nodes"] if above in nodes]
        depends[key] = any(found) or _NO_DAY in node["compiled_code"]
        if depends[key]:
            order.append(key)
        return depends[key]

    visit(last)
    relations = {nodes[key]["relation_name"]: f'pg_temp."{nodes[key]["alias"]}"' for key in order}
    models = []
    for key in order:
        node = nodes[key]
        statement = node["compiled_code"]
        for relation in node["depends_on"]["nodes"]:
            name = nodes[relation]["relation_name"] if relation in nodes else None
            if name in relations:
                statement = statement.replace(name, relations[name])
        models.append(_Model(node["alias"], node["relation_name"], node["config"]["materialized"] == "view", statement))
    return tuple(models)
