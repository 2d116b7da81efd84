"""Who swallowed a record that is gone: Bitrix24 does not say, but what belonged to it now belongs to the survivor.

Calls, letters, requisites, deals and contacts that we know as the vanished record's own are looked up at the portal.
When all of those that still belong to somebody belong to one record, and that one is alive, it is the survivor. A
record that nothing belonged to, or whose belongings went different ways, counts as deleted.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import msgspec

from clients.bitrix24 import Bitrix24Client
from extractors.bitrix24.listings import ACTIVITY, COMPANY, CONTACT, DEAL, LEAD, REQUISITE, TYPE_WORDS, Listing
from extractors.bitrix24.sweep import Row, Sweep
from warehouse.db import Connection

log = logging.getLogger(__name__)

EVIDENCE = 20  # belongings of one record that are looked up at most
_TYPES = {word: number for number, word in TYPE_WORDS.items()}


@dataclass(frozen=True)
class _Belonging:
    """Records of one list that point to their owner: the landing tables that say so, and the field in the list."""

    listing: Listing
    query: str
    owner: Callable[[Mapping[str, Any]], Any]


class Merges:
    """Finds survivors for one kind of record of one source."""

    def __init__(
        self,
        client: Bitrix24Client,
        word: str,
        instance: str,
        database: Callable[[], AbstractContextManager[Connection]],
    ) -> None:
        self._client = client
        self._word = word
        self._instance = instance
        self._database = database

    def survivors(self, gone: Sequence[str]) -> dict[str, str]:
        """Vanished id -> surviving id, for those that were merged."""
        owners: dict[str, set[str]] = {key: set() for key in gone}
        with self._database() as conn:
            known_as = self._former_names(conn, gone)
            for belonging in _BELONGINGS.get(self._word, ()):
                self._ask(conn, belonging, known_as, owners)
        candidates = {key: next(iter(found)) for key, found in owners.items() if len(found) == 1}
        alive = self._alive(sorted(set(candidates.values()) - set(gone)))
        merged = {key: survivor for key, survivor in candidates.items() if survivor in alive}
        if merged:
            log.info("%s: %s of %s vanished %s records live on as others", self._instance, len(merged), len(gone),
                     self._word)  # fmt: skip
        return merged

    def _former_names(self, conn: Connection, gone: Sequence[str]) -> dict[str, str]:
        """Each vanished id, and all ids that were merged into it before: their belongings are its own."""
        found = dict.fromkeys(gone, "")
        rows = conn.execute(
            "select old_id, new_id from raw.record_redirect where instance = %s and entity = %s",
            [self._instance, self._word],
        ).fetchall()
        redirects = {str(old): str(new) for old, new in rows}
        known_as = {key: key for key in gone}
        for old in redirects:
            at, seen = old, {old}
            while at not in found and redirects.get(at, at) not in seen:
                at = redirects[at]
                seen.add(at)
            if at in found:
                known_as[old] = at
        return known_as

    def _ask(
        self, conn: Connection, belonging: _Belonging, known_as: Mapping[str, str], owners: dict[str, set[str]]
    ) -> None:
        rows = conn.execute(
            f"""
            select owner, record_id
            from (
                select owner, record_id, row_number() over (partition by owner order by record_id desc) as place
                from (select distinct owner, record_id from ({belonging.query}) as known) as belongings
                where owner = any(%(names)s)
            ) as numbered
            where place <= %(most)s
            """.encode(),  # noqa: S608 - made of the constants below
            {"instance": self._instance, "names": list(known_as), "most": EVIDENCE, "word": self._word},
        ).fetchall()
        if not rows:
            return
        listing = belonging.listing
        present = Sweep(self._client, listing, parallel=1).by_ids([listing.number(row[1]) for row in rows])
        for owner, record_id in rows:
            row = present.get(listing.number(record_id))
            now = str(belonging.owner(_plain(row)) or "0") if row is not None else "0"
            if now not in ("0", owner, known_as[owner]):
                owners[known_as[owner]].add(now)

    def _alive(self, ids: Sequence[str]) -> set[str]:
        if not ids:
            return set()
        listing = {"company": COMPANY, "contact": CONTACT, "deal": DEAL, "lead": LEAD}[self._word]
        return set(Sweep(self._client, listing, parallel=1).by_ids(ids))


def _plain(row: Row) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.json.decode(row.raw)
    return plain


def _known(table: str, column: str) -> str:
    """Belongings and owners as we know them, or knew them once."""
    return " union all ".join(
        f"select {column} as owner, record_id from {schema}.{table} where instance = %(instance)s"  # noqa: S608
        for schema in ("raw", "raw_history")
    )


def _by_link(word: str) -> Callable[[Mapping[str, Any]], Any]:
    return lambda row: row.get("OWNER_ID") if str(row.get("OWNER_TYPE_ID")) == _TYPES[word] else None


_LINKED = """
    select linked_id as owner, record_id from raw.bitrix24_activity_link
    where instance = %(instance)s and linked_kind = %(word)s
    union all
    select linked_id, record_id from raw_history.bitrix24_activity_link
    where instance = %(instance)s and linked_kind = %(word)s
"""
_BELONGINGS: Mapping[str, tuple[_Belonging, ...]] = {
    "company": (
        _Belonging(ACTIVITY, _LINKED, _by_link("company")),
        _Belonging(REQUISITE, _known("bitrix24_requisite", "company_id"), lambda row: row.get("ENTITY_ID")),
        _Belonging(DEAL, _known("bitrix24_deal", "company_id"), lambda row: row.get("companyId")),
        _Belonging(CONTACT, _known("bitrix24_contact", "company_id"), lambda row: row.get("companyId")),
    ),
    "contact": (
        _Belonging(ACTIVITY, _LINKED, _by_link("contact")),
        _Belonging(DEAL, _known("bitrix24_deal", "contact_id"), lambda row: row.get("contactId")),
        _Belonging(LEAD, _known("bitrix24_lead", "contact_id"), lambda row: row.get("contactId")),
    ),
    "deal": (_Belonging(ACTIVITY, _LINKED, _by_link("deal")),),
    "lead": (
        _Belonging(ACTIVITY, _LINKED, _by_link("lead")),
        _Belonging(DEAL, _known("bitrix24_deal", "lead_id"), lambda row: row.get("leadId")),
    ),
}
