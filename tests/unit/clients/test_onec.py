"""What 1C's refusals mean, in each of the shapes it sends them."""

import base64
import json

import pytest

from clients.connection import Connection
from clients.errors import Fatal, Retriable, TooLarge
from clients.http import Response
from clients.onec import NotFound, OnecClient, judge, query

HTML = b"<!DOCTYPE html><html><head><title>Login</title></head><body>secret@example.org</body></html>"
FULL = (
    b"<html><head><title>1C:Enterprise 8 application error</title></head>"
    b"<body>The device is full '/tmp/v8_1A.tmp' No space left on device</body></html>"
)
NO_SESSION = (
    b"\xef\xbb\xbf"
    + json.dumps(
        {
            "#exception": "http://v8.1c.ru/8.2/virtual-resource-system",
            "exception": {
                "reason": 403,
                "descr": "HTTP: Forbidden",
                "inner": {"descr": "Начало сеанса с информационной базой запрещено."},
            },
        },
        ensure_ascii=False,
    ).encode()
)


def odata(code: str, message: str) -> bytes:
    return json.dumps(
        {"odata.error": {"code": code, "message": {"lang": "ru", "value": message}}}, ensure_ascii=False
    ).encode()


XML = (
    '<?xml version="1.0"?><m:error xmlns:m="x"><m:code>8</m:code>'
    '<m:message xml:lang="ru">Тип сущности не найден</m:message></m:error>'
).encode()


def answer(status: int, body: bytes, **headers: str) -> Response:
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, body, 0.1)


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        (answer(401, b""), Fatal, "did not accept the login"),
        (answer(401, odata("20", "Нет прав")), Fatal, "may not read Catalog_X"),
        (answer(403, NO_SESSION), Fatal, "Начало сеанса с информационной базой запрещено"),
        (answer(404, odata("8", "Не найден")), Fatal, "Catalog_X is not published"),
        (answer(404, XML), Fatal, "Catalog_X is not published"),
        (answer(404, odata("9", "Нет")), NotFound, "no such record"),
        (answer(404, b"Not found"), Fatal, "there is no OData here"),
        (answer(406, b""), Retriable, "no free licence"),
        (answer(400, odata("6", "Сегмент пути X не найден!")), Fatal, "does not understand"),
        (answer(500, FULL), TooLarge, "too large"),
        (answer(500, odata("-1", "Внутренняя ошибка")), Retriable, "failed for a moment"),
        (answer(501, odata("0", "Не поддерживается")), Fatal, "cannot serve"),
        (answer(503, b"", Retry_After="5"), Retriable, "failed for a moment"),
        (answer(302, b"", Location="https://sso.example.org/in?token=abc"), Fatal, "redirects to https://sso.example"),
        (answer(200, HTML), Fatal, "login page"),
        (answer(200, odata("8", "Не найден")), Fatal, "not a collection"),
        (answer(200, b"<feed xmlns='http://www.w3.org/2005/Atom'/>"), Fatal, "XML although JSON"),
    ],
)
def test_each_refusal_says_what_to_do(given: Response, kind: type[Exception], words: str) -> None:
    error = judge(given, "Catalog_X")
    assert type(error) is kind
    assert words in str(error)
    assert 'example.org"' not in str(error)
    assert "secret@" not in str(error)
    assert "token=abc" not in str(error)


def test_pause_of_a_busy_server_is_kept() -> None:
    error = judge(answer(503, b"", Retry_After="5"), "Catalog_X")
    assert isinstance(error, Retriable)
    assert error.retry_after == 5.0


@pytest.mark.parametrize("body", [b'{"value":[]}', b'\xef\xbb\xbf{"value":[]}', b'  {"value":[]}'])
def test_a_collection_is_accepted_with_or_without_byte_order_mark(body: bytes) -> None:
    assert judge(answer(200, body), "Catalog_X") is None


def test_query_has_percent_twenty_and_never_a_plus() -> None:
    built = query({"$filter": "Date ge datetime'2026-01-01T00:00:00' and Name eq 'a+b'", "allowedOnly": "true"})
    assert built == ("?$filter=Date%20ge%20datetime'2026-01-01T00:00:00'%20and%20Name%20eq%20'a%2Bb'&allowedOnly=true")


def test_cyrillic_login_travels_as_utf8() -> None:
    from tests.support.small_onec import SmallOnec

    seen: list[str] = []
    with SmallOnec() as base:
        base.sets["Catalog_Марки"] = []
        answer_of = base._answer

        def watch(path: str, headers: dict[str, str]) -> object:
            seen.append(headers["Authorization"])
            return answer_of(path, headers)

        base._answer = watch  # type: ignore[method-assign, assignment]
        with OnecClient(base.connection) as client:
            assert client.count("Catalog_Марки", {"allowedOnly": "true"}) == 0
    scheme, token = seen[0].split()
    assert scheme == "Basic"
    assert base64.b64decode(token).decode("utf-8") == "Полка:секрет-Я9"


def test_no_secret_in_repr_or_in_errors() -> None:
    connection = Connection("http://127.0.0.1:9/odata/standard.odata", "Полка", "тайна-42")
    client = OnecClient(connection, timeout=1, attempts=1)
    with pytest.raises(Retriable) as caught:
        client.metadata()
    token = base64.b64encode("Полка:тайна-42".encode()).decode()
    for text in (repr(connection), repr(client), str(caught.value), repr(caught.value)):
        assert "тайна-42" not in text
        assert token not in text
