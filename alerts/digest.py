"""The rep's list as Telegram messages: split between clients, never inside one, with a button per client."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import escape, unescape
from re import compile as pattern

from alerts import wording
from alerts.followups import FollowUp
from alerts.render import Contacts, Letter, Renderer, clean
from clients.telegram import MESSAGE_CHARACTERS, message_length

# Long names must not crowd the others out; together far below what a message holds, whatever the letters.
_NAME, _PLACE, _ASK, _LINE, _NOTE = 120, 200, 600, 160, 300
_LINES = 4
# The last message also says how fresh the data are.
_ROOM_FOR_THE_END = 600
_MARKUP = pattern(r"<[^<>]*>")
_LABELS: dict[wording.Language, dict[str, str]] = {
    "ru": {"risk": "Под риском", "buttons": "Итог звонка — кнопкой с номером клиента."},
    "en": {"risk": "At risk", "buttons": "The outcome of a call: press the client's number."},
}


@dataclass(frozen=True)
class Page:
    """One message: HTML and its rows with their numbers in the list."""

    html: str
    rows: tuple[tuple[int, FollowUp], ...]


def pages(
    rows: Sequence[FollowUp],
    contacts: Contacts,
    renderer: Renderer,
    *,
    supplement: bool = False,
    notes: Sequence[str] = (),
) -> list[Page]:
    """The list in as few messages as hold it. `rows` must not be empty."""
    first = rows[0]
    labels = _LABELS[renderer.language]
    head = f"<b>{escape(renderer.list_subject(rows, supplement=supplement), quote=False)}</b>"
    end = [_clipped(note, _NOTE) for note in [*notes, labels["buttons"], renderer.data_line(first)]]
    found: list[Page] = []
    parts: list[str] = [head]
    held: list[tuple[int, FollowUp]] = []
    for number, row in enumerate(rows, 1):
        block = _block(number, row, contacts, renderer)
        if held and _length([*parts, block]) > MESSAGE_CHARACTERS - _ROOM_FOR_THE_END:
            found.append(Page("\n\n".join(parts), tuple(held)))
            parts, held = [], []
        parts.append(block)
        held.append((number, row))
    kept = [line for line in end if line]
    while kept and _length([*parts, "\n".join(kept)]) > MESSAGE_CHARACTERS:
        kept.pop(0)
    found.append(Page("\n\n".join([*parts, "\n".join(kept)]), tuple(held)))
    return found


def notice(letter: Letter) -> str:
    """A letter about no client, in one message."""
    text = letter.text.strip()
    while message_length(text) > MESSAGE_CHARACTERS:
        text = text[: len(text) - max(1, (message_length(text) - MESSAGE_CHARACTERS) // 2)].rstrip()
    return escape(text, quote=False)


def _block(number: int, row: FollowUp, contacts: Contacts, renderer: Renderer) -> str:
    phone = contacts.phone_of(row)
    lines = [
        f"<b>{number}. {_clipped(clean(row.client_name), _NAME)}</b>",
        _clipped(renderer.place(row), _PLACE),
        _clipped(renderer.fact(row, named=False), _LINE),
        *(f"• {_clipped(line, _LINE)}" for line in renderer.outlet_lines(row, _LINES)),
    ]
    if row.money_at_risk > Decimal(0):
        lines.append(f"{_LABELS[renderer.language]['risk']}: <b>{escape(renderer.money_line(row), quote=False)}</b>")
    lines.append(f"→ {_clipped(renderer.ask(row), _ASK)}")
    if phone:
        lines.append(f"☎ {_clipped(phone, _LINE)}")
    return "\n".join(line for line in lines if line)


def _clipped(text: str, limit: int) -> str:
    return escape(text if len(text) <= limit else text[: limit - 1].rstrip(" ,;:") + "…", quote=False)


def _length(parts: Sequence[str]) -> int:
    return message_length(unescape(_MARKUP.sub("", "\n\n".join(parts))))
