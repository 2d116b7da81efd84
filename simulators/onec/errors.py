"""Errors as 1C tells them: a numeric code of its own inside JSON, XML or an HTML page."""

from dataclasses import dataclass
from xml.sax.saxutils import escape

import orjson
from starlette.responses import Response

METADATA_NS = "http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"


@dataclass
class ODataFailure(Exception):
    """A refused request. `code` is 1C's own number, not the HTTP status."""

    status: int
    code: int
    message: str


def unknown_set(name: str) -> ODataFailure:
    return ODataFailure(404, 8, f"Не найден тип сущности '{name}'")


def missing_instance(key: str) -> ODataFailure:
    return ODataFailure(404, 9, f"Экземпляр сущности '{key}' не найден")


def unknown_segment(name: str) -> ODataFailure:
    return ODataFailure(400, 6, f"Сегмент пути '{name}' не найден!")


def unknown_method(name: str) -> ODataFailure:
    return ODataFailure(400, 6, f"Метод не найден: '{name}'")


def bad_option(option: str) -> ODataFailure:
    return ODataFailure(400, 14, f"Ошибка при разборе опции запроса {option}")


def bad_guid(text: str) -> ODataFailure:
    return ODataFailure(400, 1, f"Ошибка преобразования строки '{text}' в значение типа Edm.Guid")


def unsupported_option(option: str) -> ODataFailure:
    return ODataFailure(400, 0, f"The {option} parameter is not supported")


def no_rights(name: str) -> ODataFailure:
    return ODataFailure(401, 20, f"Нарушение прав доступа! Недостаточно прав для чтения '{name}'")


def incomparable() -> ODataFailure:
    what = "Нельзя сравнивать поля неограниченной длины и поля несовместимых типов."
    return ODataFailure(500, -1, "{(3, 23)}: Неверные параметры в операции сравнения. " + what)


def render(failure: ODataFailure, *, as_json: bool, bom: bool = False) -> Response:
    """The body in the caller's format; without JSON asked for it is XML."""
    if as_json:
        payload = {"odata.error": {"code": str(failure.code), "message": {"lang": "ru", "value": failure.message}}}
        body = (b"\xef\xbb\xbf" if bom else b"") + orjson.dumps(payload)
        return Response(body, failure.status, media_type="application/json;odata=minimalmetadata;charset=utf-8")
    xml = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<m:error xmlns:m="{METADATA_NS}">\n'
        f"\t<m:code>{failure.code}</m:code>\n"
        f'\t<m:message xml:lang="ru">{escape(failure.message)}</m:message>\n</m:error>'
    )
    return Response(xml.encode(), failure.status, media_type="application/xml;charset=utf-8")


def html_page(status: int, title: str, text: str) -> Response:
    """What the web server in front of 1C, or a crashed worker, sends."""
    page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1><p>{text}</p></body></html>"
    return Response(page.encode(), status, media_type="text/html;charset=utf-8")


def device_full() -> Response:
    """An answer too large for the worker's temporary files."""
    text = "The device is full '/tmp/v8_1F3A_2c.tmp' 28(0x0000001C): No space left on device"
    return html_page(500, "1C:Enterprise 8 application error", text)


def session_refused() -> Response:
    """No free session or licence: a body in a shape of its own, with a BOM."""
    reason = "Начало сеанса с информационной базой запрещено. Превышено количество доступных сеансов."
    payload = {
        "#exception": "ExceptionInfo",
        "exception": {"reason": 403, "descr": "HTTP: Forbidden (403)", "inner": {"descr": reason}},
    }
    return Response(b"\xef\xbb\xbf" + orjson.dumps(payload), 403, media_type="application/json;charset=utf-8")
