"""A base small enough to know by heart, and a careful caller of the simulated 1C that serves it."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import requests

from simulators.onec.base import Base, simple_set
from simulators.onec.server import PUBLICATION, OnecServer
from simulators.onec.ut11 import UT11

LOGIN, PASSWORD = "Полка", "секрет-42"
SCHEMAS = UT11.by_name


def guid(number: int) -> str:
    return f"{(number * 7919) % 99991:08x}-0000-4000-8000-{number:012d}"


def partner(number: int) -> dict[str, Any]:
    return {
        "Ref_Key": guid(number),
        "Code": f"{number:05d}",
        "Description": f"Партнёр {chr(0x410 + number % 30)}{number}",
    } | ({"Parent_Key": guid(1)} if number == 2 else {})


def order(number: int, lines: int) -> dict[str, Any]:
    return {
        "Ref_Key": guid(1000 + number),
        "DataVersion": "AAAAAAAAAAE=",
        "Number": f"ТД-{number:06d}",
        "Date": f"2026-03-{1 + number % 28:02d}T10:{number % 60:02d}:00",
        "Posted": number % 5 != 0,
        "Партнер_Key": guid(1 + number % 40),
        "СуммаДокумента": Decimal("2.55") if number == 1 else Decimal(f"{number}.10"),
        "Комментарий": 'O\'Нил сказал: "да" & 5 < 6\n' if number == 1 else "",
        "Товары": [
            {"Количество": n, "Цена": Decimal("0.1"), "Сумма": Decimal("1234567890123.45"), "КодСтроки": n}
            for n in range(1, lines + 1)
        ],
    }


def shipment(number: int) -> dict[str, Any]:
    filled = {"ЗаказКлиента": guid(1000 + number), "ЗаказКлиента_Type": "StandardODATA.Document_ЗаказКлиента"}
    return {
        "Ref_Key": guid(2000 + number),
        "Number": f"РТ-{number:06d}",
        "Date": f"2026-03-{1 + number % 28:02d}T12:00:00",
        "Posted": True,
    } | (filled if number % 2 else {})


def small_base() -> Base:
    return Base(
        [
            simple_set(SCHEMAS["Catalog_Партнеры"], [partner(n) for n in range(1, 41)]),
            simple_set(SCHEMAS["Document_ЗаказКлиента"], [order(n, n % 4) for n in range(1, 251)]),
            simple_set(SCHEMAS["Document_РеализацияТоваровУслуг"], [shipment(n) for n in range(1, 11)]),
        ]
    )


@dataclass
class Published:
    """A running simulator and a caller with its credentials."""

    server: OnecServer
    root: str  # http://127.0.0.1:port
    session: requests.Session

    @property
    def url(self) -> str:
        return self.root + quote(PUBLICATION)

    def get(self, path: str, **headers: str) -> requests.Response:
        """GET of `path` with its query, percent-encoded as a careful client does."""
        encoded = quote(path, safe="/?&=$(),':;*")
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.session.get(f"{self.url}/{encoded}", headers=headers, timeout=30)

    def json(self, path: str) -> Any:
        response = self.get(path, Accept="application/json;odata=nometadata")
        assert response.status_code == 200, response.text
        return response.json()

    def error(self, path: str) -> tuple[int, str]:
        """HTTP status and 1C's own code."""
        response = self.get(path, Accept="application/json")
        return response.status_code, response.json()["odata.error"]["code"]
