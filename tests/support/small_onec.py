"""A very small 1C: enough OData for tests of reading, with hooks to make it misbehave."""

import json
import re
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from clients.connection import Connection
from extractors.core.spec import Field, load_configuration, load_entities

Json = dict[str, Any]
EMPTY = "00000000-0000-0000-0000-000000000000"
NEVER = "0001-01-01T00:00:00"
_EDM = {
    "number": "Edm.Double",
    "integer": "Edm.Int64",
    "boolean": "Edm.Boolean",
    "date": "Edm.DateTime",
    "timestamp": "Edm.DateTime",
}


@dataclass
class Answer:
    status: int
    body: bytes
    content_type: str = "application/json;charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Query:
    """A parsed request: `source_set`, `key` of a single record, `is_count`, options by name."""

    raw: str
    source_set: str
    key: str | None
    is_count: bool
    options: dict[str, str]

    @property
    def top(self) -> int | None:
        return int(self.options["$top"]) if "$top" in self.options else None

    @property
    def skip(self) -> int:
        return int(self.options.get("$skip", "0"))


class SmallOnec:
    """Serves `sets` (set -> records) on a free loopback port. `before(query)` may answer instead of the base."""

    def __init__(self) -> None:
        self.sets: dict[str, list[Json]] = {}
        self.before: Callable[[Query], Answer | None] = lambda query: None
        self.requests: list[Query] = []
        self.hidden_fields: set[str] = set()
        self.running = 0
        self.most_running = 0
        self._guard = threading.Lock()
        base = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                with base._guard:
                    base.running += 1
                    base.most_running = max(base.most_running, base.running)
                try:
                    answer = base._answer(self.path, dict(self.headers))
                finally:
                    with base._guard:
                        base.running -= 1
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.content_type)
                self.send_header("Content-Length", str(len(answer.body)))
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self.login = "Полка"
        self.password = "секрет-Я9"

    def __enter__(self) -> "SmallOnec":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def connection(self) -> Connection:
        port = self._server.server_address[1]
        return Connection(f"http://127.0.0.1:{port}/base/odata/standard.odata", self.login, self.password)

    def _answer(self, path: str, headers: dict[str, str]) -> Answer:
        parts = urlsplit(path)
        if "+" in parts.query:
            return error(400, "14", "Ошибка разбора опции запроса")
        resource = unquote(parts.path).removeprefix("/base/odata/standard.odata/")
        if resource == "$metadata":
            return Answer(200, self._metadata().encode(), "application/xml")
        found = re.fullmatch(r"(\w+)(?:\(guid'([^']+)'\))?(/\$count)?", resource)
        if found is None:
            return error(400, "6", "Сегмент пути не найден")
        query = Query(path, found[1], found[2], bool(found[3]), dict(parse_qsl(parts.query)))
        with self._guard:
            self.requests.append(query)
        instead = self.before(query)
        return instead if instead is not None else self.answer(query)

    def answer(self, query: Query) -> Answer:
        """What the base says when nothing is wrong."""
        records = self.sets.get(query.source_set)
        if records is None:
            return error(404, "8", f"Тип сущности {query.source_set} не найден")
        if query.key is not None:
            one = [record for record in records if record["Ref_Key"] == query.key]
            return collection_body(one[0]) if one else error(404, "9", "Экземпляр не найден")
        chosen = sorted(self._filtered(records, query.options.get("$filter")), key=lambda record: record["Ref_Key"])
        if query.is_count:
            return Answer(200, b"\xef\xbb\xbf" + str(len(chosen)).encode(), "text/plain")
        if (order := query.options.get("$orderby", "")).startswith("Date"):
            chosen.sort(key=lambda record: record["Date"], reverse=order.endswith("desc"))
        page = chosen[query.skip :] if query.top is None else chosen[query.skip : query.skip + query.top]
        if selected := query.options.get("$select"):
            page = [{name: record[name] for name in selected.split(",")} for record in page]
        return collection_body({"odata.metadata": "x", "value": page})

    @staticmethod
    def _filtered(records: Iterable[Json], condition: str | None) -> list[Json]:
        chosen = list(records)
        if wanted := re.findall(r"Ref_Key eq guid'([^']+)'", condition or ""):
            chosen = [record for record in chosen if record["Ref_Key"] in wanted]
        for operator, moment in re.findall(r"Date (ge|lt) datetime'([^']+)'", condition or ""):
            chosen = [r for r in chosen if (r["Date"] >= moment if operator == "ge" else r["Date"] < moment)]
        return chosen

    def _metadata(self) -> str:
        out = ["<?xml version='1.0' encoding='UTF-8'?><edmx:Edmx xmlns:edmx='e'><edmx:DataServices><Schema>"]
        specs = load_entities("onec")
        for name, entity in load_configuration("onec", "ut11").entities.items():
            if entity.source_set not in self.sets:
                continue
            out.append(f"<EntityType Name='{entity.source_set}'>")
            out += [f"<Property Name='{field}' Type='Edm.String'/>" for field in ("Ref_Key", "DataVersion")]
            out += self._properties(entity.fields, specs[name].columns)
            for lines in entity.lines.values():
                row = f"{entity.source_set}_{lines.source}_RowType"
                out.append(f"<Property Name='{lines.source}' Type='Collection(StandardODATA.{row})'/>")
            out.append("</EntityType>")
            for child, lines in entity.lines.items():
                out.append(f"<ComplexType Name='{entity.source_set}_{lines.source}_RowType'>")
                out += self._properties(lines.fields, specs[name].lines[child])
                out.append("</ComplexType>")
        out.append("</Schema></edmx:DataServices></edmx:Edmx>")
        return "".join(out)

    def _properties(self, fields: Mapping[str, Field], columns: Mapping[str, str]) -> Iterator[str]:
        for column, mapped in fields.items():
            if mapped.source and mapped.source not in self.hidden_fields:
                yield f"<Property Name='{mapped.source}' Type='{_EDM.get(columns[column], 'Edm.String')}'/>"


def collection_body(content: Json) -> Answer:
    return Answer(200, b"\xef\xbb\xbf" + json.dumps(content, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def error(status: int, code: str, message: str) -> Answer:
    body = {"odata.error": {"code": code, "message": {"lang": "ru", "value": message}}}
    return Answer(status, json.dumps(body, ensure_ascii=False).encode())


def key(number: int) -> str:
    """A guid that depends on the number only and does not sort like it."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, str(number)))


def brand(number: int, **changes: Any) -> Json:
    return {
        "Ref_Key": key(number),
        "DataVersion": f"AAAA{number}=",
        "Description": f"Марка {number}   ",
        "DeletionMark": False,
    } | changes


def order_line(number: int, **changes: Any) -> Json:
    return {
        "Ref_Key": key(0),
        "LineNumber": str(number),
        "ДатаОтгрузки": "2026-03-02T00:00:00",
        "Номенклатура_Key": key(1000 + number),
        "Характеристика_Key": EMPTY,
        "Упаковка_Key": EMPTY,
        "КоличествоУпаковок": number,
        "Количество": number,
        "ВидЦены_Key": EMPTY,
        "Цена": 10.5,
        "Сумма": number * 10.5,
        "СтавкаНДС_Key": key(20),
        "СуммаНДС": 0,
        "СуммаСНДС": number * 10.5,
        "ПроцентРучнойСкидки": 0,
        "СуммаРучнойСкидки": 0,
        "ПроцентАвтоматическойСкидки": 0,
        "СуммаАвтоматическойСкидки": 0,
        "Склад_Key": EMPTY,
        "КодСтроки": str(number),
        "ВариантОбеспечения": "Отгрузить",
        "Отменено": False,
        "ПричинаОтмены_Key": EMPTY,
    } | changes


def order(number: int, lines: int = 2, **changes: Any) -> Json:
    return {
        "Ref_Key": key(number),
        "DataVersion": f"AAAA{number}=",
        "Number": f"ТД{number:06}   ",
        "Date": f"2026-03-{1 + number % 28:02}T10:00:00",
        "Posted": True,
        "DeletionMark": False,
        "Партнер_Key": key(500),
        "Контрагент_Key": key(501),
        "Организация_Key": key(502),
        "Соглашение_Key": EMPTY,
        "Менеджер_Key": key(503),
        "Склад_Key": EMPTY,
        "Валюта_Key": key(504),
        "СуммаДокумента": 31.5,
        "ЦенаВключаетНДС": True,
        "ХозяйственнаяОперация": "РеализацияКлиенту",
        "Подразделение_Key": EMPTY,
        "АдресДоставки": "",
        "Комментарий": "",
        "Статус": "КОбеспечению",
        "Согласован": True,
        "ДатаОтгрузки": NEVER,
        "Товары": [order_line(line) for line in range(1, lines + 1)],
    } | changes
