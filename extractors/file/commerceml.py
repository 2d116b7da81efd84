"""CommerceML 2.03-2.10 as a stream: the file's objects one by one, as dictionaries, and the records they hold.

Only the object at hand is in memory. A document type declaration is refused: it is never there in an exchange file,
and it is where external and exploding entities come from.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.parsers import expat
from zoneinfo import ZoneInfo

from extractors.core.values import to_utc
from extractors.file.errors import BadFile, Unfinished

ROOT = "КоммерческаяИнформация"
NAMESPACE = "urn:1C.ru:commerceml_2"
CHUNK = 1 << 18
MAX_DEPTH = 64
MAX_OBJECT = 20_000_000  # characters of one object: far above any document, far below the memory
Object = dict[str, Any]

_PACKAGES = ("ПакетПредложений", "ИзмененияПакетаПредложений")
# Where objects begin, as paths below the root; what lies inside belongs to the object.
_OBJECTS = frozenset(
    {
        ("Классификатор", "Владелец"),
        ("Классификатор", "Группы", "Группа"),
        ("Каталог", "Владелец"),
        ("Каталог", "Товары", "Товар"),
        ("Документ",),
        ("Контейнер", "Документ"),
        *((package, "Владелец") for package in _PACKAGES),
        *((package, "Предложения", "Предложение") for package in _PACKAGES),
        *(
            (place, many, one)
            for place in ("Классификатор", *_PACKAGES)
            for many, one in (("ТипыЦен", "ТипЦены"), ("Склады", "Склад"))
        ),
    }
)
_OPERATIONS = {
    "заказ товара": "order",
    "отпуск товара": "shipment",
    "возврат товара": "return",
    "выплата безналичных денег": "bank_receipt",
    "выплата наличных денег": "cash_receipt",
}
# What a kind of file tells everything about; a product or an organisation may be mentioned elsewhere as well.
TOLD_BY: dict[str, frozenset[str]] = {
    "catalog": frozenset({"product", "brand", "organisation"}),
    "offers": frozenset({"price_type", "price", "stock", "warehouse"}),
    "documents": frozenset({"partner", "legal_entity", *_OPERATIONS.values()}),
}


@dataclass
class Head:
    """What the root says, filled while the file is read."""

    version: str = ""
    formed: str = ""
    sections: set[str] = field(default_factory=set)

    @property
    def holds(self) -> str:
        """catalog, offers or documents; a file with nothing inside is an exchange of documents without any."""
        if self.sections & set(_PACKAGES):
            return "offers"
        return "catalog" if self.sections & {"Каталог", "Классификатор"} else "documents"

    def formed_at(self, zone: ZoneInfo) -> datetime | None:
        """The moment of the stamp ДатаФормирования (local time of the base); None when there is none."""
        try:
            stamp = datetime.fromisoformat(self.formed.strip())
        except ValueError:
            return None
        return stamp if stamp.tzinfo else to_utc(stamp, zone)


def objects(path: Path, head: Head) -> Iterator[tuple[str, Object]]:
    """(tag, object) for all objects of the file, in its order; fills `head` on the way.

    Elements with children become dictionaries, repeated ones lists, attributes "@name", text beside attributes "#".
    Raises BadFile, or Unfinished when the file breaks off.
    """
    reading = _Reading(head)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            reading.feed(chunk)
            while reading.ready:
                yield reading.ready.popleft()
    reading.end()


class _Reading:
    """Takes bytes, makes objects."""

    def __init__(self, head: Head) -> None:
        self.ready: deque[tuple[str, Object]] = deque()
        self._head = head
        self._path: list[str] = []
        self._nodes: list[Object] = []  # open elements of the object at hand
        self._texts: list[list[str]] = []
        self._size = 0
        self._closed = False
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._refuse
        parser.EntityDeclHandler = self._refuse
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        self._parser = parser

    def feed(self, chunk: bytes) -> None:
        self._parse(chunk, False)

    def end(self) -> None:
        self._parse(b"", True)

    def _parse(self, chunk: bytes, last: bool) -> None:
        try:
            self._parser.Parse(chunk, last)
        except (expat.ExpatError, LookupError, ValueError) as problem:
            code = getattr(problem, "code", None)
            line = getattr(problem, "lineno", self._parser.CurrentLineNumber)
            if last and not self._closed:
                raise Unfinished(f"the file ends in line {line}, before its last element") from None
            if isinstance(problem, LookupError) or code == _UNKNOWN_ENCODING:
                raise BadFile(
                    "В первой строке файла названа кодировка, которой нет. Выгрузите файл в UTF-8 или windows-1251.",
                    "The first line of the file names an encoding that does not exist: export it as UTF-8 or "
                    "windows-1251.",
                ) from None
            raise BadFile(
                f"Файл не читается как XML (строка {line}). Чаще всего кодировка в первой строке файла не та, в "
                "которой он записан, или файл испорчен при передаче. Выгрузите его заново.",
                f"The file cannot be read as XML (line {line}: {expat.ErrorString(code) if code else problem}). Mostly "
                "its first line names another encoding than it is written in, or the transfer damaged it: export it "
                "again.",
            ) from None

    def _refuse(self, *_: Any) -> None:
        raise BadFile(
            "В файле есть описание типа документа (DOCTYPE). В обмене CommerceML его не бывает, и такие файлы не "
            "читаются: через него подставляют чужие файлы. Проверьте, откуда взялся этот файл.",
            "The file has a document type declaration (DOCTYPE). CommerceML never has one, and it is a way to smuggle "
            "other files in, so such files are not read: find out where this one came from.",
        )

    def _start(self, qualified: str, attributes: dict[str, str]) -> None:
        tag = _local(qualified)
        if not self._path:
            if tag != ROOT or (" " in qualified and not qualified.startswith(NAMESPACE + " ")):
                raise BadFile(
                    f"Это не CommerceML: файл должен начинаться с элемента {ROOT}. Если имя элемента в файле верное, "
                    "то в его первой строке названа не та кодировка.",
                    f"This is not CommerceML: the file must begin with the element {ROOT}. If it does, its first line "
                    "names the wrong encoding.",
                )
            self._head.version = attributes.get("ВерсияСхемы", "")
            self._head.formed = attributes.get("ДатаФормирования", "")
        elif len(self._path) == 1:
            self._head.sections.add(tag)
        if len(self._path) >= MAX_DEPTH:
            raise BadFile(
                f"Элементы файла вложены глубже {MAX_DEPTH} уровней: это не обмен 1С.",
                f"The elements of the file are nested deeper than {MAX_DEPTH} levels: this is no exchange of 1C.",
            )
        self._path.append(tag)
        if self._nodes:
            self._size += len(tag)
            self._open(attributes)
        elif tuple(self._path[1:]) in _OBJECTS:
            self._size = 0
            self._open(attributes)

    def _open(self, attributes: dict[str, str]) -> None:
        self._nodes.append({f"@{_local(name)}": value for name, value in attributes.items()})
        self._texts.append([])
        self._grow(sum(map(len, attributes.values())))

    def _text(self, text: str) -> None:
        if self._texts:
            self._texts[-1].append(text)
            self._grow(len(text))

    def _grow(self, by: int) -> None:
        self._size += by
        if self._size > MAX_OBJECT:
            raise BadFile(
                f"Один объект в файле длиннее {MAX_OBJECT // 1_000_000} млн символов: это не обмен 1С.",
                f"One object of the file is longer than {MAX_OBJECT // 1_000_000} million characters: this is no "
                "exchange of 1C.",
            )

    def _end(self, _: str) -> None:
        tag = self._path.pop()
        if not self._path:
            self._closed = True
        if not self._nodes:
            return
        node, text = self._nodes.pop(), "".join(self._texts.pop()).strip()
        if not self._nodes:
            self.ready.append((tag, node))
            return
        value: Any = node
        if not node:
            value = text or None
        elif text:
            node["#"] = text
        parent = self._nodes[-1]
        if tag not in parent:
            parent[tag] = value
        elif isinstance(parent[tag], list):
            parent[tag].append(value)
        else:
            parent[tag] = [parent[tag], value]


_UNKNOWN_ENCODING = expat.errors.codes[expat.errors.XML_ERROR_UNKNOWN_ENCODING]


def _local(qualified: str) -> str:
    return qualified.rpartition(" ")[2]


def one(node: Any, *path: str) -> Any:
    """The value at the end of a path; of repeated elements the first; None when something is missing."""
    for tag in path:
        if isinstance(node, list):
            node = node[0] if node else None
        if not isinstance(node, dict):
            return None
        node = node.get(tag)
    return node[0] if isinstance(node, list) and node else node


def many(node: Any, *path: str) -> list[Any]:
    """All values of the last element of a path."""
    found = one(node, *path[:-1]) if len(path) > 1 else node
    value = found.get(path[-1]) if isinstance(found, dict) else None
    return value if isinstance(value, list) else [] if value is None else [value]


def text(node: Any, *path: str) -> str | None:
    """The text at the end of a path, also beside attributes; None when empty or missing."""
    value = one(node, *path)
    if isinstance(value, dict):
        value = value.get("#")
    return value if isinstance(value, str) and value else None


def records(tag: str, item: Object) -> Iterator[tuple[str, Object]]:
    """(entity, its part of the object) for everything that an object of the file tells."""
    if tag == "Владелец":
        if text(item, "Ид"):
            yield "organisation", item
    elif tag == "Группа":
        yield from _groups(item, None)
    elif tag == "Товар":
        yield "product", item
        if text(item, "Изготовитель", "Ид"):
            yield "brand", one(item, "Изготовитель")
    elif tag == "Документ":
        yield from _document(item)
    elif tag == "Предложение":
        yield from _offer(item)
    elif tag in ("ТипЦены", "Склад") and text(item, "Ид"):
        yield ("price_type" if tag == "ТипЦены" else "warehouse"), item


def offered(tag: str, item: Object, entity: str) -> tuple[str, str] | None:
    """(product, characteristic) of an offer that tells everything about its prices or its stock; otherwise None."""
    told = {"price": ("Цены",), "stock": ("Количество", "Склад", "Остатки")}.get(entity, ())
    if tag != "Предложение" or not any(name in item for name in told):
        return None
    product, _, characteristic = (text(item, "Ид") or "").partition("#")
    return product, characteristic


def _offer(item: Object) -> Iterator[tuple[str, Object]]:
    """Prices by type, stock by warehouse (without warehouses: the total)."""
    own = {"@Предложение": text(item, "Ид")}
    for price in many(item, "Цены", "Цена"):
        if isinstance(price, dict):
            yield "price", {**price, **own}
    places = [place for place in many(item, "Склад") if isinstance(place, dict)]
    for rest in many(item, "Остатки", "Остаток"):
        places += [place for place in many(rest, "Склад") if isinstance(place, dict)]
    for place in places:
        yield "stock", {**place, **own}
    total = text(item, "Количество") or text(item, "Остатки", "Остаток", "Количество")
    if total and not places:
        yield "stock", {"Количество": total, **own}


def _groups(group: Object, parent: str | None) -> Iterator[tuple[str, Object]]:
    own = {name: value for name, value in group.items() if name != "Группы"}
    yield "product", {**own, "@Родитель": parent, "@ЭтоГруппа": "true"}
    for inner in many(group, "Группы", "Группа"):
        if isinstance(inner, dict):
            yield from _groups(inner, text(group, "Ид"))


def _document(item: Object) -> Iterator[tuple[str, Object]]:
    operation = (text(item, "ХозОперация") or "").casefold()
    for party in many(item, "Контрагенты", "Контрагент"):
        if not isinstance(party, dict) or not text(party, "Ид"):
            continue
        if (text(party, "Роль") or "").casefold() == "продавец":
            yield "organisation", party
        else:
            yield "partner", party
            yield "legal_entity", party
    for line in many(item, "Товары", "Товар"):
        # A site invents goods like "delivery" that no catalog will ever bring.
        if (
            isinstance(line, dict)
            and requisite(line, "ТипНоменклатуры") == "Услуга"
            and len(text(line, "Ид") or "") < 32
        ):
            yield "product", line
    if operation in _OPERATIONS:
        yield _OPERATIONS[operation], item


def requisite(item: Object, *names: str) -> str | None:
    """The first non-empty one of the named values among ЗначенияРеквизитов."""
    wanted = {name.casefold().replace(" ", "") for name in names}
    for pair in many(item, "ЗначенияРеквизитов", "ЗначениеРеквизита"):
        name = (text(pair, "Наименование") or "").casefold().replace(" ", "")
        if name in wanted and (value := text(pair, "Значение")):
            return value
    return None
