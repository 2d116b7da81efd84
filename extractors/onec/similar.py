"""Names of a base that look like the one we miss."""

from collections.abc import Iterable
from difflib import SequenceMatcher

from extractors.core.spec import Kind
from extractors.onec.metadata import Published
from extractors.onec.needs import fits

_LIKE_ENOUGH = 0.6


def similar_sets(base: Published, wanted: str, *, limit: int = 3) -> tuple[str, ...]:
    """Published objects of the same sort (catalog, document, ...) with a similar name, best first."""
    sort, _, name = wanted.partition("_")
    others = {rest: other for other in base.sets() for kind, _, rest in [other.partition("_")] if kind == sort}
    return tuple(others[found] for found in _closest(name, others, limit))


def similar_fields(known: dict[str, str], wanted: str, kind: Kind, *, limit: int = 3) -> tuple[str, ...]:
    """Fields with a similar name and a type that a column of that kind can take, best first."""
    bare = {field.removesuffix("_Key"): field for field, type_ in known.items() if fits(kind, type_)}
    bare.pop(wanted.removesuffix("_Key"), None)
    return tuple(bare[found] for found in _closest(wanted.removesuffix("_Key"), bare, limit))


def _closest(wanted: str, names: Iterable[str], limit: int) -> list[str]:
    rated = sorted(((_likeness(wanted, name), name) for name in names), key=lambda pair: (-pair[0], pair[1]))
    return [name for likeness, name in rated[:limit] if likeness >= _LIKE_ENOUGH]


def _likeness(wanted: str, name: str) -> float:
    a, b = wanted.lower(), name.lower()
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    if matcher.real_quick_ratio() < _LIKE_ENOUGH and not (a in b or b in a):
        return 0.0
    # `Сумма` within `СуммаДокумента` is a hint too, however long the rest.
    inside = 0.61 if min(len(a), len(b)) >= 4 and (a in b or b in a) else 0.0
    return max(matcher.ratio(), inside)
