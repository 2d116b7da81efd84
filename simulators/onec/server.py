"""The ASGI application: standard OData of one 1C base, with its limits and its moods."""

from __future__ import annotations

import asyncio
import base64
import random
import re
import uuid
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import unquote

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from simulators.onec import atom, edmx, errors
from simulators.onec.base import Base, EntitySet, LineLayout, Row, fragment
from simulators.onec.connections import abort
from simulators.onec.errors import ODataFailure
from simulators.onec.faults import Fault, FaultPlan
from simulators.onec.filters import compile_filter
from simulators.onec.oddities import ODDITIES, plant
from simulators.onec.schema import EMPTY_GUID, Field, SetSchema

PUBLICATION = "/trade/odata/standard.odata"

_KEYED = re.compile(r"^(?P<set>[^(/]+)(?:\((?P<key>.*?)\))?(?:/(?P<rest>.+))?$")
_GUID_KEY = re.compile(r"^(?:Ref_Key=)?guid'(?P<guid>[^']*)'$")
_KEY_PART = re.compile(r"(?P<name>\w+)\s*=\s*(?:guid|datetime|cast\(guid)?'?(?P<value>[^',)]*)'?(?:,\s*'[^']*'\))?")
_EXCHANGE_POINT = re.compile(r"ExchangePlan_(?P<plan>\w+)\(guid'+(?P<node>[0-9a-fA-F-]{36})'+\)")
_GUID = re.compile(r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")
_FORMAT = re.compile(r"(?:^|&)\$format=(?P<format>[^&]*)")
_OPTIONS = {"$format", "$filter", "$top", "$skip", "$orderby", "$select", "$inlinecount", "$expand"}
_PRESENTATION = "____Presentation"


@dataclass
class Quirks:
    """Moods of a publication; the control path changes them while it runs."""

    bom: bool = False
    first_request_seconds: float = 0.0
    page_limit_bytes: int = 40_000_000
    inlinecount_ignores_paging: bool = False  # the vendor's wording; live bases combine them
    session_limit: int | None = None  # free sessions; a further `IBSession: start` is refused
    licence_limit: int | None = None  # free licences; without one a new session is answered with 406
    sessions_honoured: bool = True  # some web servers drop the session's cookie
    session_start_seconds: float = 0.0  # what every request pays that has no session to go on with
    latency_seconds: float = 0.0  # the way to the base and back; does not occupy it
    work_seconds: float = 0.0  # what every request costs the base
    parallel_limit: int | None = None  # requests that the base works on at once; further ones wait
    restricted: list[str] = field(default_factory=list)  # sets with row-level rights: need allowedOnly=true
    no_rights: list[str] = field(default_factory=list)  # sets that the user may not read at all
    unpublished: list[str] = field(default_factory=list)  # sets outside the OData composition; "*" means all


@dataclass(frozen=True)
class Query:
    """A parsed query string."""

    options: dict[str, str]
    as_json: bool
    metadata: str  # none | minimal | full

    @property
    def top(self) -> int | None:
        return self._integer("$top")

    @property
    def skip(self) -> int:
        return self._integer("$skip") or 0

    @property
    def counted(self) -> bool:
        return self.options.get("$inlinecount") == "allpages"

    def _integer(self, name: str) -> int | None:
        text = self.options.get(name)
        if text is None:
            return None
        if not text.isdecimal():
            raise errors.bad_option(name)
        return int(text)


@dataclass(frozen=True)
class Selection:
    """What `$select` leaves: header fields, tabular sections with their fields, presentations."""

    columns: tuple[Field, ...]
    tables: dict[str, tuple[str, ...] | None]  # None: all fields of the rows
    presentations: bool = False
    everything: bool = False


class OnecServer:
    """One published base. `app` is the ASGI application."""

    def __init__(
        self,
        base: Base,
        login: str,
        password: str,
        *,
        quirks: Quirks | None = None,
        faults: FaultPlan | None = None,
        on_day: Callable[[str], Any] | None = None,
    ) -> None:
        self.base = base
        self.quirks = quirks or Quirks()
        self.faults = faults or FaultPlan()
        self.requests: Counter[str] = Counter()
        self._credentials = f"{login}:{password}"
        self._on_day = on_day
        self._slept = False
        self._sessions: set[str] = set()
        self._working = 0
        self._waiting: list[asyncio.Future[None]] = []
        self.most_working = 0
        self._computed: OrderedDict[tuple[Any, ...], EntitySet] = OrderedDict()
        self._selected: OrderedDict[tuple[Any, ...], list[Row]] = OrderedDict()
        self._row_sets: dict[tuple[int, str], EntitySet] = {}
        self.app = Starlette(
            routes=[
                Route("/", self._front_door),
                Route("/_control/{action}", self._control, methods=["GET", "POST"]),
                Route(f"{PUBLICATION}", self._odata, methods=_METHODS),
                Route(f"{PUBLICATION}/{{path:path}}", self._odata, methods=_METHODS),
            ]
        )

    async def _front_door(self, request: Request) -> Response:
        """The web server itself: as far away as the base, but it has nothing to do."""
        await asyncio.sleep(self.quirks.latency_seconds)
        return Response(status_code=404)

    # one request

    async def _odata(self, request: Request) -> Response:
        path = request.path_params.get("path", "")
        raw_query = request.scope["query_string"].decode("latin-1")
        url = f"{path}?{unquote(raw_query)}"
        self.requests[path] += 1
        fault = self.faults.take(url)
        if fault is not None:
            answer = await self._broken_transport(fault, request)
            if answer is not None:
                return answer
        if self.quirks.latency_seconds:
            await asyncio.sleep(self.quirks.latency_seconds)
        await self._enter()
        try:
            return await self._work(request, path, raw_query, fault)
        finally:
            self._leave()

    async def _enter(self) -> None:
        """Wait until the base has a place for one more request."""
        while self.quirks.parallel_limit is not None and self._working >= self.quirks.parallel_limit:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn
        self._working += 1
        self.most_working = max(self.most_working, self._working)

    def _leave(self) -> None:
        self._working -= 1
        while self._waiting:
            turn = self._waiting.pop(0)
            if not turn.done():
                turn.set_result(None)
                break

    async def _work(self, request: Request, path: str, raw_query: str, fault: Fault | None) -> Response:
        if self.quirks.first_request_seconds and not self._slept:
            self._slept = True
            await asyncio.sleep(self.quirks.first_request_seconds)
        refusal = self._refuse(request)
        if refusal is not None:
            return refusal
        starts = self.quirks.session_start_seconds if not request.cookies.get("ibsession") else 0.0
        if starts or self.quirks.work_seconds:
            await asyncio.sleep(starts + self.quirks.work_seconds)
        accept = request.headers.get("accept", "")
        try:
            query = _parse_query(raw_query, accept)
            response = self._answer(request, path, query, fault)
        except ODataFailure as failure:
            response = errors.render(failure, as_json=_asks_json(raw_query, accept), bom=self.quirks.bom)
        self._start_session(request, response)
        return spoiled(response, fault)

    async def _broken_transport(self, fault: Fault, request: Request) -> Response | None:
        if fault.kind == "timeout":
            await asyncio.sleep(fault.seconds)
        elif fault.kind == "status":
            answer = errors.html_page(fault.status, f"Error {fault.status}", "The server is busy or unavailable.")
            if fault.retry_after is not None:
                answer.headers["retry-after"] = str(fault.retry_after)
            return answer
        elif fault.kind == "too_large":
            return errors.device_full()
        elif fault.kind == "edit":
            self._edit(request.path_params.get("path", ""), fault)
        elif fault.kind == "html":
            return errors.html_page(200, "1С:Предприятие", "Вход в систему")
        elif fault.kind == "session":
            return Response(status_code=406) if fault.status == 406 else errors.session_refused()
        elif fault.kind == "reset":
            abort(request.scope)
            return Response(status_code=500)
        return None

    def _edit(self, path: str, fault: Fault) -> None:
        """Somebody adds, changes or deletes a record of the set while it is being read."""
        entity_set = self.base.sets.get(path)
        if entity_set is None or not entity_set.rows:
            return
        number = fault.hits * 7919
        row = sorted(entity_set.rows, key=entity_set.key)[number % len(entity_set.rows)]
        key = entity_set.key(row)
        if fault.edit == "delete":
            self.base.remove(path, key)
            return
        if fault.edit == "insert":
            key = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{key}:{number}"))
        self.base.write(path, {**entity_set.exact(row), "Ref_Key": key})

    def _refuse(self, request: Request) -> Response | None:
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        try:
            given = base64.b64decode(encoded, validate=True).decode("utf-8") if scheme.lower() == "basic" else ""
        except ValueError:  # not base64, or a login in another encoding than UTF-8
            given = ""
        if given != self._credentials:
            answer = errors.html_page(401, "401", "Идентификация пользователя не выполнена")
            answer.headers["www-authenticate"] = 'Basic realm="1C:Enterprise 8"'
            return answer
        cookie = request.cookies.get("ibsession")
        mood = request.headers.get("ibsession")
        if cookie and cookie not in self._sessions and mood != "start":
            return errors.html_page(400, "400", "Сеанс работы завершен")
        limit = self.quirks.session_limit
        if limit is not None and not cookie and len(self._sessions) >= limit:
            return errors.session_refused()
        licences = self.quirks.licence_limit
        if licences is not None and not cookie and len(self._sessions) >= licences:
            return errors.html_page(406, "406", "Не обнаружено свободной лицензии")
        return None

    def _start_session(self, request: Request, response: Response) -> None:
        mood = request.headers.get("ibsession")
        if not self.quirks.sessions_honoured:
            return
        if mood == "start":
            session = str(uuid.uuid4())
            self._sessions.add(session)
            response.set_cookie("ibsession", session, path="/trade")
        elif mood == "finish":
            self._sessions.discard(request.cookies.get("ibsession", ""))

    def _answer(self, request: Request, path: str, query: Query, fault: Fault | None) -> Response:
        root = f"{request.url.scheme}://{request.url.netloc}{PUBLICATION}"
        if path in {"SelectChanges", "NotifyChangesReceived"}:
            return self._exchange(request, root, path, query)
        if request.method not in {"GET", "HEAD"}:
            raise ODataFailure(405, 19, f"Метод {request.method} запрещен")
        names = [name for name in self.base.names if not self._hidden(name)]
        if path in {"", "/"}:
            if not query.as_json:
                return Response(atom.service(root, names), media_type="application/atomsvc+xml;charset=utf-8")
            value = [{"name": name, "url": name} for name in names]
            return self._json({"odata.metadata": f"{root}/$metadata", "value": value}, query)
        if path == "$metadata":
            return Response(self._metadata(names).encode(), media_type="application/xml;charset=utf-8")
        match = _KEYED.match(path)
        if match is None:
            raise errors.unknown_segment(path)
        entity_set = self._find_set(match["set"])
        if match["key"] is not None:
            return self._single(root, entity_set, match["key"], match["rest"], query)
        if match["rest"] == "$count":
            return PlainTextResponse(str(len(self._rows(entity_set, query))))
        if match["rest"] is not None:
            table = self._virtual_table(match["set"], match["rest"], query)
            return self._collection(root, table, query, fault)
        return self._collection(root, entity_set, query, fault)

    def _hidden(self, name: str) -> bool:
        hidden = self.quirks.unpublished
        return "*" in hidden or name in hidden or name.removesuffix("_RecordType") in hidden

    def _metadata(self, names: Sequence[str]) -> str:
        sets = [self.base.sets[name].schema for name in names if name in self.base.sets]
        if self.base.plan is not None and self.base.plan.set_name in names:
            sets.append(self.base.plan.entity_set().schema)
        return edmx.metadata(sets, [r.schema for name, r in self.base.registers.items() if name in names])

    def _virtual_table(self, name: str, rest: str, query: Query) -> EntitySet:
        """A virtual table, remembered between its pages."""
        register = self.base.registers.get(name.removesuffix("_RecordType"))
        wanted = None if register is None else register.schema
        if register is None or wanted is None or (wanted.kind == "information") != (name == wanted.records_name):
            raise errors.unknown_method(rest.partition("(")[0])
        if wanted.name in self.quirks.no_rights or wanted.name in self.quirks.restricted:
            raise errors.no_rights(wanted.name)
        arguments = {n: v for n, v in query.options.items() if not n.startswith("$")}
        key = (self.base.version, name, rest, tuple(sorted(arguments.items())))
        if key not in self._computed:
            self._computed[key] = register.call(rest, arguments)
            while len(self._computed) > 8:
                self._computed.popitem(last=False)
        return self._computed[key]

    # exchange plan

    def _exchange(self, request: Request, root: str, path: str, query: Query) -> Response:
        plan = self.base.plan
        if request.method != "POST":
            raise ODataFailure(405, 19, f"Метод {request.method} запрещен")
        point, number = query.options.get("DataExchangePoint"), query.options.get("MessageNo")
        if point is None or number is None:
            missing = "DataExchangePoint" if point is None else "MessageNo"
            raise ODataFailure(400, 12, f"Не указан параметр '{missing}'")
        match = _EXCHANGE_POINT.search(point)
        if match is None or not number.isdecimal():
            raise errors.bad_option("DataExchangePoint" if match is None else "MessageNo")
        if plan is None or match["plan"] != plan.name or self._hidden(plan.set_name):
            raise errors.unknown_set(f"ExchangePlan_{match['plan']}")
        node = plan.nodes.get(match["node"].lower())
        if node is None:
            raise errors.missing_instance(match["node"])
        if path == "NotifyChangesReceived":
            plan.confirm(node, int(number))
            return Response(b"", media_type="application/xml;charset=utf-8")
        entries = []
        size = 0
        for set_name, key in plan.select(node, int(number)):
            entity_set = self.base.find(set_name)
            if entity_set is None or self._hidden(set_name):
                continue
            row = entity_set.find(key)
            is_register = set_name in self.base.registers
            if row is None and not is_register:
                entries.append(atom.deleted_entry(root, entity_set, key))
            else:
                entries.append(atom.changed_entry(root, entity_set, key, row, self.base.sets))
            size += len(entries[-1])
        if size > self.quirks.page_limit_bytes:
            return errors.device_full()
        return Response(atom.changes(root, entries).encode(), media_type="application/atom+xml;charset=utf-8")

    # sets, rows

    def _find_set(self, name: str) -> EntitySet:
        if self._hidden(name):
            raise errors.unknown_set(name)
        found = self.base.find(name)
        if found is not None:
            return found
        for owner in self.base.sets.values():  # a tabular section is a set of its own
            if self._hidden(owner.name):
                continue
            for layout in owner.layouts.values():
                if name == f"{owner.name}_{layout.table.name}":
                    return self._table_set(owner, layout)
        raise errors.unknown_set(name)

    def _table_set(self, owner: EntitySet, layout: LineLayout) -> EntitySet:
        name = f"{owner.name}_{layout.table.name}"
        key = (self.base.version, name)
        if key not in self._row_sets:
            columns = layout.table.fields
            result = EntitySet(SetSchema(name, columns, sort=("Ref_Key",)), [c.name for c in columns])
            result.replace_rows(
                Row(tuple(fragment(c.kind, line[c.name]) for c in columns))
                for row in owner.rows
                for line in map(orjson.loads, owner.line_texts(row, layout))
            )
            self._row_sets = {key: result}
        return self._row_sets[key]

    def _rows(self, entity_set: EntitySet, query: Query) -> list[Row]:
        """Rows after `$filter` and `$orderby`; the last selections are remembered between pages."""
        allowed_only = query.options.get("allowedOnly", "").lower() == "true"
        restricted = entity_set.name in self.quirks.restricted
        if entity_set.name in self.quirks.no_rights or (restricted and not allowed_only):
            raise errors.no_rights(entity_set.name)
        condition = query.options.get("$filter")
        order = query.options.get("$orderby")
        key = (self.base.version, id(entity_set), entity_set.name, condition, order, restricted)
        if key in self._selected:
            self._selected.move_to_end(key)
            return self._selected[key]
        rows = entity_set.rows
        if condition is not None:
            holds = compile_filter(entity_set, condition)
            rows = [row for row in rows if holds(row)]
        if restricted:
            rows = [row for row in rows if entity_set.key(row)[-1] in "02468ace"]
        rows = self._ordered(entity_set, rows, order)
        self._selected[key] = rows
        while len(self._selected) > 12:
            self._selected.popitem(last=False)
        return rows

    def _ordered(self, entity_set: EntitySet, rows: Sequence[Row], order: str | None) -> list[Row]:
        if order is None:  # no order asked: as the rows lie in the table, by their internal key
            key = entity_set.reader(entity_set.schema.fields[0].name)
            return sorted(rows, key=lambda row: str(key(row)))
        result = list(rows)
        for part in reversed(order.split(",")):
            name, *direction = part.split()
            if direction not in ([], ["asc"], ["desc"]):
                raise errors.bad_option("$orderby")
            readers = self._order_readers(entity_set, name)
            result.sort(key=lambda row: [_sortable(read(row)) for read in readers], reverse=direction == ["desc"])
        return result

    def _order_readers(self, entity_set: EntitySet, name: str) -> list[Callable[[Row], Any]]:
        schema = entity_set.schema
        owner, _, inner = name.partition("/")
        if inner:  # a field of the referenced record: Контрагент/ИНН
            column = next((f for f in schema.fields if f.navigation == owner), None)
            target = self.base.sets.get(column.target or "") if column else None
            if column is None or target is None or inner not in target.schema.by_name:
                raise errors.unknown_segment(name)
            return [_through(entity_set.reader(column.name), target, target.reader(inner))]
        if name not in schema.by_name:
            raise errors.unknown_segment(name)
        if name == "Ref_Key" and schema.sort != ("Ref_Key",):  # references are ordered by their presentation
            return [entity_set.reader(field_name) for field_name in (*schema.sort, "Ref_Key")]
        return [entity_set.reader(name)]

    # answers

    def _collection(self, root: str, entity_set: EntitySet, query: Query, fault: Fault | None) -> Response:
        selection = _parse_select(entity_set, query.options.get("$select"))
        rows = self._rows(entity_set, query)
        count = len(rows) if query.counted else None
        if not (query.counted and self.quirks.inlinecount_ignores_paging):
            skip, top = query.skip, query.top
            if fault is not None and fault.kind == "duplicate_page" and top:
                skip = max(skip - top, 0)
            rows = rows[skip : None if top is None else skip + top]
        if fault is not None and fault.kind == "short_page":
            rows = rows[:-1]
        if fault is not None and fault.kind == "changed_order":
            rows = random.Random(len(rows)).sample(rows, len(rows))
        expand = self._parse_expand(entity_set, query)
        size = 0
        parts: list[str] = []
        for text in self._render(root, entity_set, rows, query, selection, expand):
            size += len(text)  # letters, not bytes: close enough for a limit
            if size > self.quirks.page_limit_bytes:
                return errors.device_full()
            parts.append(text)
        if not query.as_json:
            return Response(atom.feed(root, entity_set.name, parts, count).encode(), media_type=_ATOM)
        head = "" if query.metadata == "none" else f'"odata.metadata":"{root}/$metadata#{entity_set.name}",'
        counted = "" if count is None else f'"odata.count":"{count}",'
        return self._json_text(f'{{{head}{counted}"value":[{",".join(parts)}]}}', query)

    def _render(
        self,
        root: str,
        entity_set: EntitySet,
        rows: Sequence[Row],
        query: Query,
        selection: Selection,
        expand: Sequence[Field],
    ) -> Iterator[str]:
        whole_tables = all(fields is None for fields in selection.tables.values())
        if query.as_json and query.metadata == "none" and whole_tables and not selection.presentations and not expand:
            columns = None if selection.everything else selection.columns
            tables = list(selection.tables)
            return (entity_set.json(row, columns, tables) for row in rows)
        if query.as_json:
            return (
                orjson.dumps(self._record(root, entity_set, row, query, selection, expand)).decode() for row in rows
            )
        return (
            atom.entry(
                root, entity_set, row, self._record(root, entity_set, row, query, selection, expand), self.base.sets
            )
            for row in rows
        )

    def _single(self, root: str, entity_set: EntitySet, key: str, rest: str | None, query: Query) -> Response:
        identity = _identity(entity_set, key)
        if entity_set.name in self.quirks.no_rights or entity_set.name in self.quirks.restricted:
            raise errors.no_rights(entity_set.name)
        row = entity_set.find(identity)
        if row is None:
            raise errors.missing_instance(identity)
        if rest is not None:
            column = next((f for f in entity_set.schema.fields if f.navigation == rest), None)
            target = self.base.sets.get(column.target or "") if column else None
            if column is None or target is None:
                raise errors.unknown_segment(rest)
            return self._single(root, target, f"guid{entity_set.text(row, column.name)}".replace('"', "'"), None, query)
        selection = _parse_select(entity_set, query.options.get("$select"))
        record = self._record(root, entity_set, row, query, selection, ())
        if not query.as_json:
            text = '<?xml version="1.0" encoding="UTF-8"?>\n' + atom.entry(
                root, entity_set, row, record, self.base.sets, outer=True
            )
            return Response(text.encode(), media_type=_ATOM)
        if query.metadata != "none":
            record = {"odata.metadata": f"{root}/$metadata#{entity_set.name}/@Element", **record}
        return self._json(record, query)

    def _record(
        self,
        root: str,
        entity_set: EntitySet,
        row: Row,
        query: Query,
        selection: Selection,
        expand: Sequence[Field],
    ) -> dict[str, Any]:
        """The selected properties with the metadata that the format asks for."""
        whole = entity_set.document(row)
        path = entity_set.address(row)
        links = query.as_json and query.metadata != "none"
        result: dict[str, Any] = {}
        if query.as_json and query.metadata == "full":
            result["odata.type"] = f"StandardODATA.{entity_set.name}"
            result["odata.id"] = f"{root}/{path}"
            result["odata.editLink"] = path
        self._add_fields(result, selection.columns, whole, path, query, links=links)
        if selection.presentations:
            for column in selection.columns:
                if column.kind == "ref":
                    result[column.name + _PRESENTATION] = self._presentation(column, whole[column.name])
        for table in entity_set.schema.tables:
            name = table.name
            if name not in selection.tables:
                continue
            chosen = selection.tables[name]
            columns = [c for c in table.fields if chosen is None or c.name in chosen]
            lines = []
            for line in whole[name]:
                out: dict[str, Any] = {}
                inner = (
                    f"{entity_set.name}_{name}(Ref_Key=guid'{line.get('Ref_Key')}', LineNumber={line['LineNumber']})"
                )
                self._add_fields(out, columns, line, inner, query, links=links)
                lines.append(out)
            result[name] = lines
        for column in expand:
            target = self.base.sets[column.target or ""]
            found = target.find(whole[column.name])
            result[column.navigation or ""] = target.document(found) if found else None
        return result

    def _add_fields(
        self,
        result: dict[str, Any],
        columns: Sequence[Field],
        values: dict[str, Any],
        path: str,
        query: Query,
        *,
        links: bool,
    ) -> None:
        for column in columns:
            value = values[column.name]
            if query.as_json and query.metadata == "full" and column.kind in _TYPED:
                result[f"{column.name}@odata.type"] = _TYPED[column.kind]
            result[column.name] = value
            if links and column.navigation and column.target in self.base.sets and value != EMPTY_GUID:
                result[f"{column.navigation}@navigationLinkUrl"] = f"{path}/{column.navigation}"

    def _presentation(self, column: Field, key: str) -> str:
        target = self.base.sets.get(column.target or "")
        row = target.find(key) if target else None
        if target is None or row is None:
            return ""
        name = "Description" if "Description" in target.schema.by_name else "Number"
        return str(target.reader(name)(row)).rstrip()

    def _parse_expand(self, entity_set: EntitySet, query: Query) -> list[Field]:
        text = query.options.get("$expand")
        if not text:
            return []
        selected = query.options.get("$select")
        chosen = []
        for name in (part.strip() for part in text.split(",")):
            if entity_set.schema.table(name) is not None:
                raise ODataFailure(400, 6, f"Сегмент пути '{name}' не поддерживает раскрытие")
            column = next((f for f in entity_set.schema.fields if f.navigation == name.partition("/")[0]), None)
            if column is None or column.target not in self.base.sets:
                raise errors.unknown_segment(name)
            if selected is None or any(s.strip().partition("/")[0] == column.navigation for s in selected.split(",")):
                chosen.append(column)  # an expand that is not selected too is silently ignored
        return chosen

    def _json(self, payload: dict[str, Any], query: Query) -> Response:
        if query.metadata == "none":
            payload = {k: v for k, v in payload.items() if k != "odata.metadata"}
        return self._json_text(orjson.dumps(payload).decode(), query)

    def _json_text(self, text: str, query: Query) -> Response:
        body = (b"\xef\xbb\xbf" if self.quirks.bom else b"") + text.encode()
        media_type = (
            f"application/json;odata={'nometadata' if query.metadata == 'none' else query.metadata + 'metadata'}"
        )
        return Response(body, media_type=f"{media_type};charset=utf-8")

    # control path, for tests and drills

    async def _control(self, request: Request) -> Response:
        action = request.path_params["action"]
        body = await request.json() if request.method == "POST" else None
        if action == "faults":
            if body is not None:
                try:
                    self.faults = FaultPlan.parse(body)
                except (TypeError, ValueError) as error:
                    return JSONResponse({"error": str(error)}, 400)
            return JSONResponse([vars(fault) for fault in self.faults.faults])
        if action == "quirks":
            for name, value in (body or {}).items():
                if name not in {f.name for f in fields(Quirks)}:
                    return JSONResponse({"error": f"no such quirk: {name}"}, 400)
                setattr(self.quirks, name, value)
            return JSONResponse(vars(self.quirks))
        if action == "requests":
            return JSONResponse(dict(self.requests))
        if action == "load":
            return JSONResponse({"most_working": self.most_working, "sessions": len(self._sessions)})
        if action == "edit" and body is not None:
            try:
                self.base.edit(body["set"], body["key"], body["changes"])
            except KeyError as error:
                return JSONResponse({"error": f"no such record: {error}"}, 400)
            return JSONResponse({"written": body["key"]})
        if action == "oddities" and body is not None:
            try:
                planted = {kind: plant(self.base, body["set"], kind) for kind in body.get("kinds", ODDITIES)}
            except (KeyError, ValueError) as error:
                return JSONResponse({"error": str(error)}, 400)
            return JSONResponse(planted)
        if action == "day" and body is not None and self._on_day is not None:
            return JSONResponse(self._on_day(body["as_of"]))
        return JSONResponse({"error": f"no such control: {action}"}, 404)


_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"]
_ATOM = "application/atom+xml;charset=utf-8"
_TYPED = {"key": "Edm.Guid", "ref": "Edm.Guid", "date": "Edm.DateTime", "int64": "Edm.Int64", "double": "Edm.Double"}


class HalfBody(Response):
    """Promises the whole body, sends half of it and drops the connection."""

    def __init__(self, whole: Response) -> None:
        super().__init__(whole.body, whole.status_code, media_type=whole.media_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        half = self.body[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        await asyncio.sleep(0.05)  # let the half reach the reader before the connection dies
        abort(scope)


def spoiled(response: Response, fault: Fault | None) -> Response:
    """The answer as a fault leaves it on its way."""
    if fault is None:
        return response
    if fault.kind == "half_body":
        return HalfBody(response)
    if fault.kind == "broken_json":
        response.body = response.body[: len(response.body) * 2 // 3]
    elif fault.kind == "bom":
        response.body = b"\xef\xbb\xbf" + bytes(response.body)
    elif fault.kind == "bad_utf8":  # half of a surrogate pair, as bytes
        response.body = bytes(response.body).replace(b'"Ref_Key"', b'"\xed\xa0\x80":"","Ref_Key"', 1)
    elif fault.kind == "empty_body":
        response.body = b""
    response.headers["content-length"] = str(len(response.body))
    return response


def _identity(entity_set: EntitySet, key: str) -> str:
    """The record's key out of the text in parentheses: a guid alone, or every part by its name."""
    if entity_set.schema.keys == ("Ref_Key",):
        match = _GUID_KEY.match(key)
        if match is None:
            raise ODataFailure(400, 7, "Не указана часть ключа")
        if not _GUID.match(match["guid"]):
            raise errors.bad_guid(match["guid"])
        return match["guid"]
    given = {m["name"]: m["value"] for m in _KEY_PART.finditer(key)}
    if not given.keys() >= set(entity_set.schema.keys):
        raise ODataFailure(400, 7, "Не указана часть ключа")
    return "|".join(given[name] for name in entity_set.schema.keys)


def _parse_query(raw: str, accept: str) -> Query:
    if "+" in raw:  # a plus is not a space here
        raise errors.bad_option("$filter")
    options: dict[str, str] = {}
    for part in raw.split("&"):
        if part:
            name, _, value = part.partition("=")
            options[unquote(name)] = unquote(value)
    for name in options:
        if name.startswith("$") and name not in _OPTIONS:
            raise errors.unsupported_option(name)
    wanted = (options.get("$format") or accept).replace(" ", "").lower()
    as_json = _asks_json(raw, accept)
    if options.get("$format") and not wanted.startswith(("json", "application/json", "atom", "application/atom+xml")):
        raise ODataFailure(400, 3, f"Неподдерживаемый формат '{options['$format']}'")
    level = "none" if "odata=nometadata" in wanted else "full" if "odata=fullmetadata" in wanted else "minimal"
    return Query(options, as_json, level)


def _asks_json(raw_query: str, accept: str) -> bool:
    """Also of a query that cannot be parsed: the error comes in the format asked for."""
    match = _FORMAT.search(unquote(raw_query))
    wanted = (match["format"] if match else accept).strip().lower()
    return wanted.startswith("json") or "application/json" in wanted


def _parse_select(entity_set: EntitySet, text: str | None) -> Selection:
    schema = entity_set.schema
    everything: dict[str, tuple[str, ...] | None] = {t.name: None for t in schema.tables}
    if not text:
        return Selection(schema.fields, everything, everything=True)
    chosen: set[str] = set()
    tables: dict[str, tuple[str, ...] | None] = {}
    presentations = False
    for part in (p.strip() for p in text.split(",")):
        owner, _, inner = part.partition("/")
        if part == "*":
            chosen |= set(schema.by_name)
            tables |= everything
        elif part == "**":
            chosen |= set(schema.by_name)
        elif part == "*" + _PRESENTATION:
            presentations = True
        elif part in schema.by_name:
            chosen.add(part)
        elif part.removesuffix(_PRESENTATION) in schema.by_name:
            presentations = True
            chosen.add(part.removesuffix(_PRESENTATION))
        elif (table := schema.table(owner)) is not None:
            if inner and inner not in {f.name for f in table.fields}:
                raise errors.unknown_segment(part)
            before = tables.get(owner, ())
            tables[owner] = None if not inner or before is None else (*before, inner)
        elif not any(f.navigation == owner for f in schema.fields):
            raise errors.unknown_segment(part)
    columns = tuple(f for f in schema.fields if f.name in chosen)
    whole = len(columns) == len(schema.fields) and tables == everything
    return Selection(columns, tables, presentations, everything=whole and not presentations)


def _sortable(value: Any) -> tuple[int, Any]:
    return (0, "") if value is None else (1, value)


def _through(
    read_key: Callable[[Row], Any], target: EntitySet, read_value: Callable[[Row], Any]
) -> Callable[[Row], Any]:
    def read(row: Row) -> Any:
        found = target.find(str(read_key(row)))
        return None if found is None else read_value(found)

    return read
