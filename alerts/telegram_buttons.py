"""Buttons below a list: a number per client, then the outcomes, then the days. They hold all their state themselves."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TypeVar

from alerts import wording
from alerts.outcome_names import outcome_label, outcomes
from alerts.wording import Language
from clients.telegram import button

Button = Mapping[str, str]
Keyboard = Sequence[Sequence[Button]]
Key = TypeVar("Key", bound=Button)

DATED = ("will_order", "call_back", "season_or_repairs")
"""Outcomes that agree on a day."""
ASKS_MORE = "cadence_changed"
"""Says how often, which no button can: it is written into the task."""
_CLIENTS_IN_A_ROW, _OUTCOMES_IN_A_ROW, _DAYS_IN_A_ROW = 5, 2, 4
_DAYS_OFFERED, _MONTHS_OFFERED = 7, 4
_ROW = re.compile(r"r:([0-9a-f]{32})")
_ANSWER = re.compile(r"o:([0-9a-f]{32}):([a-z_]+)(?::(\d{8}|-))?")
_NO_DAY: dict[Language, str] = {"ru": "без даты", "en": "no date"}
_DONE, _CHOSEN = "✓", "▸"


@dataclass(frozen=True)
class Pressed:
    """What a button means. `outcome` None: the client was chosen; `is_final` False: a day is still asked for."""

    followup_id: str
    outcome: str | None = None
    until: date | None = None
    is_final: bool = False


def client_buttons(rows: Sequence[tuple[int, str]]) -> list[list[dict[str, str]]]:
    """(number, followup_id) -> a button per client."""
    return _in_rows([button(str(number), f"r:{key}") for number, key in rows], _CLIENTS_IN_A_ROW)


def read_button(data: str | None) -> Pressed | None:
    """None for what no button of ours says."""
    text = data or ""
    if chosen := _ROW.fullmatch(text):
        return Pressed(chosen[1])
    said = _ANSWER.fullmatch(text)
    if not said or said[2] not in outcomes():
        return None
    key, outcome, day = said.groups()
    if day and outcome not in DATED:
        return None
    try:
        until = date.fromisoformat(day) if day and day != "-" else None
    except ValueError:
        return None
    return Pressed(key, outcome, until, is_final=outcome not in DATED or day is not None)


def keyboard_after(
    shown: Keyboard, pressed: Pressed, today: date, days_off: Sequence[date], language: Language
) -> list[list[Button]]:
    """The buttons to show next: those of the clients, and below them what the pressed one asks for."""
    clients = [
        _relabelled(key, pressed) for row in shown for key in row if str(key.get("callback_data", "")).startswith("r:")
    ]
    asked: list[list[Button]] = []
    if pressed.outcome is None:
        named = [
            button(
                outcome_label(outcome, language) + ("…" if outcome in DATED else ""),
                f"o:{pressed.followup_id}:{outcome}",
            )
            for outcome in outcomes()
            if outcome != ASKS_MORE
        ]
        asked = [list(row) for row in _in_rows(named, _OUTCOMES_IN_A_ROW)]
    elif not pressed.is_final:
        days = _days(pressed.outcome, today, days_off)
        start = f"o:{pressed.followup_id}:{pressed.outcome}"
        offered = [button(wording.day_with_weekday(day, today, language), f"{start}:{day:%Y%m%d}") for day in days]
        asked = [list(row) for row in _in_rows([*offered, button(_NO_DAY[language], f"{start}:-")], _DAYS_IN_A_ROW)]
    return [*_in_rows(clients, _CLIENTS_IN_A_ROW), *asked]


def _days(outcome: str, today: date, days_off: Sequence[date]) -> list[date]:
    """Working days to come; for a season the first days of months."""
    if outcome == "season_or_repairs":
        months = [today.year * 12 + today.month + ahead for ahead in range(_MONTHS_OFFERED)]
        return [today + timedelta(days=14), *(date(month // 12, month % 12 + 1, 1) for month in months)]
    ahead = (today + timedelta(days=days) for days in range(1, 40))
    return [day for day in ahead if day not in set(days_off)][:_DAYS_OFFERED]


def _relabelled(key: Button, pressed: Pressed) -> Button:
    number = str(key["text"]).strip(f"{_CHOSEN} ")
    if key["callback_data"] != f"r:{pressed.followup_id}":
        return button(number, key["callback_data"])
    if pressed.is_final:
        return button(f"{_DONE} {number.strip(f'{_DONE} ')}", key["callback_data"])
    return button(f"{_CHOSEN} {number}", key["callback_data"])


def _in_rows(keys: Sequence[Key], width: int) -> list[list[Key]]:
    return [list(keys[start : start + width]) for start in range(0, len(keys), width)]
