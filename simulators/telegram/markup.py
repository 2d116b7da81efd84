"""Telegram's HTML: which tags it takes, what is left of the text, and how it complains."""

import html
import re

_TAGS = {
    "b", "strong", "i", "em", "u", "ins", "s", "strike", "del", "code", "pre", "a", "tg-spoiler", "span", "blockquote",
    "tg-emoji",
}  # fmt: skip
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9-]*)([^<>]*)>")


class BadMarkup(ValueError):
    """The text cannot be parsed; the message is Telegram's."""


def visible(text: str) -> str:
    """The text without its markup. Raises BadMarkup."""
    said: list[str] = []
    open_tags: list[str] = []
    position = 0
    while position < len(text):
        start = text.find("<", position)
        if start < 0:
            said.append(html.unescape(text[position:]))
            break
        said.append(html.unescape(text[position:start]))
        found = _TAG.match(text, start)
        offset = len(text[:start].encode())
        if not found:
            raise BadMarkup(f"Unclosed start tag at byte offset {offset}")
        closing, name = found[1], found[2].lower()
        if name not in _TAGS:
            raise BadMarkup(f'Unsupported start tag "{name}" at byte offset {offset}')
        if not closing:
            open_tags.append(name)
        elif not open_tags or open_tags.pop() != name:
            raise BadMarkup(f"Unexpected end tag at byte offset {offset}")
        position = found.end()
    if open_tags:
        raise BadMarkup(f"Can't find end tag corresponding to start tag {open_tags[-1]}")
    return "".join(said)
