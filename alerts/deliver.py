"""Send what is planned: claim in the ledger, commit, look up, send, settle. Safe to stop anywhere and to run again.

At most one message per row and channel. A message whose answer did not come is looked up where the channel can (a task)
and shown to a person where it cannot (a letter); it is never sent again on a guess.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256

from alerts import ledger
from alerts.channels.base import (
    BatchChannel,
    CannotTell,
    Channel,
    ChannelDown,
    Delivery,
    Key,
    LetterChannel,
    NotFound,
    PartlySent,
    Receipt,
)
from alerts.channels.registry import open_channels
from alerts.contacts import Manager, read_contacts, read_managers
from alerts.freeze import refuse_other_days
from alerts.ledger import Claim
from alerts.notices import hold_notice, send_empty_notices
from alerts.quality import Quality, read_quality
from alerts.render import Renderer
from alerts.results import read_results
from alerts.sent import remember
from alerts.withdraw import withdraw_answered
from alerts.wording import Language, reason
from clients.bitrix24 import SERVER_TIME_LIMIT_SECONDS
from clients.connection import Connection as Address
from clients.errors import ClientError, Fatal, Retriable, Unknown
from warehouse.db import Connection, connect
from warehouse.settings import get_settings

__all__ = ["DeliveryOutcome", "DeliveryUnfinished", "deliver", "hold_notice", "withdraw_answered"]

log = logging.getLogger(__name__)

# By then the portal has certainly finished with a request that it did not answer.
LOOK_AGAIN_SECONDS = SERVER_TIME_LIMIT_SECONDS + 30.0
LONGEST_NAP_SECONDS = 2.0


@dataclass(frozen=True)
class Rehearsed:
    """What would have been sent, without names or addresses."""

    channel: str
    manager_id: str
    followup_ids: list[str]


@dataclass
class DeliveryOutcome:
    """Rows (client x channel) of one branch by what became of them in this run; grows while it goes on.

    sent: sent now. found: were already there, only recorded. failed: need a person before they can be sent.
    waiting: not sent, may be tried again. in_doubt: to be looked up. needs_attention: only a person can find out.
    notices: letters that say "nothing today". would_send: rehearsal only.
    """

    sent: int = 0
    found: int = 0
    failed: int = 0
    waiting: int = 0
    in_doubt: int = 0
    needs_attention: int = 0
    notices: int = 0
    problems: list[str] = field(default_factory=list)
    would_send: list[Rehearsed] = field(default_factory=list)


class DeliveryUnfinished(RuntimeError):
    """Rows are still planned or in doubt: run the delivery again. `outcome` says how far it came."""

    def __init__(self, outcome: DeliveryOutcome) -> None:
        problems = f": {'; '.join(outcome.problems)}" if outcome.problems else ""
        super().__init__(f"{outcome.waiting} rows wait and {outcome.in_doubt} are in doubt{problems}")
        self.outcome = outcome


def deliver(
    as_of: date,
    branch_id: str,
    connections: Mapping[str, Address],
    *,
    rehearsal: bool,
    instance: str | None = None,
    database_url: str | None = None,
    patience_seconds: float = 2 * LOOK_AGAIN_SECONDS,
    lease_seconds: float = ledger.LEASE_SECONDS,
    look_again_seconds: float = LOOK_AGAIN_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> DeliveryOutcome:
    """Deliver the planned rows of one branch through every channel of the settings.

    connections: by channel name. rehearsal: everything but the last step; the ledger is left as it was and the outcome
    lists what would be sent. patience_seconds: how long to wait for the moment when a doubtful row can be looked up.
    Raises NotToday, DeliveryUnfinished (safe to run again) or ValueError (channel unknown or without a connection).
    """
    refuse_other_days(as_of)
    settings = get_settings()
    renderer = Renderer(settings.language, settings.time_zone)
    channels = open_channels(connections, settings, renderer, lambda: connect(database_url, autocommit=True))
    outcome = DeliveryOutcome()
    try:
        with connect(database_url) as conn:
            for channel in channels.values():
                courier = _Courier(
                    conn,
                    channel,
                    as_of,
                    branch_id,
                    instance,
                    settings.language,
                    outcome,
                    lease_seconds,
                    look_again_seconds,
                )
                if rehearsal:
                    courier.rehearse()
                elif channel.per == "client":
                    courier.deliver_each(patience_seconds, sleep)
                else:
                    courier.deliver_by_manager(patience_seconds, sleep)
            for channel in channels.values():
                if isinstance(channel, LetterChannel):
                    outcome.notices += send_empty_notices(
                        conn,
                        as_of,
                        branch_id,
                        channel,
                        rehearsal=rehearsal,
                        instance=instance,
                        problems=outcome.problems,
                    )
    finally:
        for channel in channels.values():
            channel.close()
    log.info("branch %s delivered: %s", branch_id, outcome)
    if outcome.waiting or outcome.in_doubt or (outcome.problems and not rehearsal):
        raise DeliveryUnfinished(outcome)
    return outcome


class _Lost(Exception):
    """The rows have become somebody else's; nothing of this message has left."""


@dataclass
class _Courier:
    """One channel's rows of one branch."""

    conn: Connection
    channel: Channel
    as_of: date
    branch_id: str
    instance: str | None
    language: Language
    tally: DeliveryOutcome
    lease_seconds: float
    look_again_seconds: float

    # --- one message per client ---

    def deliver_each(self, patience_seconds: float, sleep: Callable[[float], None]) -> None:
        self._look_up_old_doubts()
        tried: set[str] = set()
        while True:
            alive = self._work_through(tried)
            doubts, attention, pause = ledger.count_open(
                self.conn, self.as_of, self.channel.name, self.branch_id, instance=self.instance
            )
            self.conn.commit()
            if not alive or not doubts or pause > patience_seconds:
                break
            log.info("%s rows are in doubt or with another sender; looking again", doubts)
            patience_seconds -= _nap(pause, sleep)
        self.tally.in_doubt += doubts
        self.tally.needs_attention += attention

    def _work_through(self, tried: set[str]) -> bool:
        """Everything that can be claimed now. False: the channel is down and nothing more can be done.

        `tried` keeps a row that was given back from being tried again in the same run.
        """
        while True:
            claims = ledger.claim(
                self.conn,
                self.as_of,
                self.channel.name,
                self.branch_id,
                instance=self.instance,
                exclude=sorted(tried),
                lease_seconds=self.lease_seconds,
            )
            self.conn.commit()
            if not claims:
                return True
            tried.update(claim.key for claim in claims)
            findings = self.channel.find([_key(claim) for claim in claims])
            managers = read_managers(self.conn, [(c.follow_up.instance, c.follow_up.manager_id) for c in claims])
            self.conn.commit()
            to_send: list[Claim] = []
            for claim in claims:
                finding = findings[claim.key]
                if isinstance(finding, Receipt):
                    self._settle_found(claim, finding)
                elif isinstance(finding, CannotTell):
                    self._postpone(claim, finding.why)
                else:
                    to_send.append(claim)
            if not self._send_all(to_send, managers):
                return False

    def _send_all(self, claims: Sequence[Claim], managers: Mapping[tuple[str, str], Manager]) -> bool:
        """Send what was claimed, together where the channel can. False: the channel is down."""
        step = len(claims) or 1 if isinstance(self.channel, BatchChannel) else 1
        for start in range(0, len(claims), step):
            try:
                self._send_some(claims[start : start + step], managers)
            except ChannelDown as down:
                self._give_back(claims[start:], str(down))
                return False
        return True

    def _send_some(self, claims: Sequence[Claim], managers: Mapping[tuple[str, str], Manager]) -> None:
        """Send with one request and settle each row by its own result. Raises ChannelDown: nothing was sent."""
        deliveries: dict[str, tuple[Claim, Delivery]] = {}
        for claim in claims:
            row = claim.follow_up
            manager = self._manager(claim, managers)
            if manager is None:
                continue
            contacts = read_contacts(self.conn, row.instance, [row])
            delivery = Delivery(_key(claim), self.as_of, manager, [row], contacts, Quality())
            if ledger.renew(self.conn, claim, lease_seconds=self.lease_seconds):
                remember(self.conn, self.channel, delivery)
                deliveries[claim.key] = (claim, delivery)
        self.conn.commit()
        results = self._results([delivery for _, delivery in deliveries.values()])
        unknown: list[Claim] = []
        for key, result in results.items():
            claim = deliveries[key][0]
            if isinstance(result, Receipt):
                ledger.settle_sent(self.conn, claim, external_id=result.external_id, recipient=result.recipient)
                self.conn.commit()
                self.tally.sent += 1
            elif isinstance(result, Unknown):
                log.warning("%s: %s", self.channel.name, result)
                unknown.append(claim)
            elif isinstance(result, Fatal) and not isinstance(result, ChannelDown):
                self._settle_failed([claim], str(result))
            else:
                self._give_back([claim], str(result))
        self._resolve(unknown)

    def _results(self, deliveries: Sequence[Delivery]) -> Mapping[str, Receipt | ClientError]:
        if not deliveries:
            return {}
        if isinstance(self.channel, BatchChannel):
            return self.channel.send_many(deliveries)
        results: dict[str, Receipt | ClientError] = {}
        for delivery in deliveries:
            try:
                results[delivery.key.value] = self.channel.send(delivery)
            except ChannelDown:
                raise
            except ClientError as error:
                results[delivery.key.value] = error
        return results

    def _resolve(self, claims: Sequence[Claim]) -> None:
        """No answer came. If a message is there, well; if not, it may still be on its way: look again later."""
        keys = [_key(claim) for claim in claims]
        findings = self.channel.find([Key(key.value, key.since, tried_before=True) for key in keys])
        for claim in claims:
            finding = findings[claim.key]
            if isinstance(finding, Receipt):
                self._settle_found(claim, finding)
                continue
            text = reason("outcome_unknown", self.language)
            ledger.leave_in_doubt(self.conn, claim, text, look_again_seconds=self.look_again_seconds)
            self.conn.commit()

    def _settle_found(self, claim: Claim, receipt: Receipt) -> None:
        ledger.settle_sent(self.conn, claim, external_id=receipt.external_id, recipient=receipt.recipient)
        self.conn.commit()
        self.tally.found += 1

    def _postpone(self, claim: Claim, why: str) -> None:
        """The look-up failed. A row never tried goes back to planned; one that may be sent stays in doubt."""
        if claim.tried_before:
            ledger.leave_in_doubt(self.conn, claim, why, look_again_seconds=self.look_again_seconds)
            self.conn.commit()
            self._problem(why)
        else:
            self._give_back([claim], why)

    def _look_up_old_doubts(self) -> None:
        """Rows of earlier days whose sender died: found or not, they are not sent any more."""
        claims = ledger.claim_old_doubts(self.conn, self.as_of, self.channel.name, lease_seconds=self.lease_seconds)
        self.conn.commit()
        if not claims:
            return
        findings = self.channel.find([_key(claim) for claim in claims])
        for claim in claims:
            finding = findings[claim.key]
            if isinstance(finding, Receipt):
                ledger.settle_sent(self.conn, claim, external_id=finding.external_id, recipient=finding.recipient)
            elif isinstance(finding, NotFound):
                ledger.settle_failed(self.conn, claim, reason("day_is_over", self.language))
            self.conn.commit()

    # --- one message per manager ---

    def deliver_by_manager(self, patience_seconds: float, sleep: Callable[[float], None]) -> None:
        """Rows that another sender is sending are his to settle; when his lease lapses he died over them."""
        given_back: set[tuple[str, str | None]] = set()
        while True:
            ledger.recover_interrupted(self.conn, self.channel.name, reason("letter_in_doubt", self.language))
            alive = self._send_lists(given_back)
            doubts, attention, pause = ledger.count_open(
                self.conn, self.as_of, self.channel.name, self.branch_id, instance=self.instance
            )
            self.conn.commit()
            if not alive or not doubts or pause > patience_seconds:
                break
            patience_seconds -= _nap(pause, sleep)
        self.tally.in_doubt += doubts
        self.tally.needs_attention += attention

    def _send_lists(self, given_back: set[tuple[str, str | None]]) -> bool:
        """One message to every rep with something planned. False: the channel is down.

        `given_back` keeps a list that could not be sent from being tried again in the same run.
        """
        due = ledger.managers_due(self.conn, self.as_of, self.channel.name, self.branch_id, instance=self.instance)
        self.conn.commit()
        for instance, manager_id in due:
            if (instance, manager_id) in given_back:
                continue
            claims = ledger.claim_for_manager(
                self.conn, self.as_of, self.channel.name, instance, manager_id, lease_seconds=self.lease_seconds
            )
            self.conn.commit()
            if not claims:
                continue
            waiting = self.tally.waiting
            try:
                self._send_list(claims)
            except ChannelDown as down:
                self._give_back(claims, str(down))
                return False
            if self.tally.waiting > waiting:
                given_back.add((instance, manager_id))
        return True

    def _send_list(self, claims: Sequence[Claim]) -> None:
        first = claims[0].follow_up
        managers = read_managers(self.conn, [(first.instance, first.manager_id)])
        manager = self._manager(claims[0], managers, claims)
        if manager is None:
            return
        delivery = self._list_delivery(claims, manager)
        remember(self.conn, self.channel, delivery)
        self.conn.commit()
        if not isinstance(self.channel, LetterChannel):
            raise TypeError(f"{self.channel.name} sends no lists")
        try:
            receipt = self.channel.send(delivery, leaving=lambda: self._leave(claims))
        except _Lost:
            return
        except PartlySent as part:
            self._settle_part(claims, part)
        except ChannelDown:
            raise
        except ClientError as error:
            self._settle_unsent(claims, error)
        else:
            self._settle_all_sent(claims, dict.fromkeys((claim.key for claim in claims), receipt))

    def _leave(self, claims: Sequence[Claim]) -> None:
        """From here on a death leaves a doubt. Raises _Lost: the rows have become another sender's."""
        still_mine = [ledger.leaves(self.conn, claim, lease_seconds=self.lease_seconds) for claim in claims]
        if not all(still_mine):
            self.conn.rollback()
            raise _Lost
        self.conn.commit()

    def _settle_part(self, claims: Sequence[Claim], part: PartlySent) -> None:
        """Messages that are there, the one that failed, and those after it, which nobody began to send."""
        unsure = set(part.unsure)
        rest = [claim for claim in claims if claim.key not in unsure and claim.key not in part.receipts]
        self._settle_all_sent([claim for claim in claims if claim.key in part.receipts], part.receipts)
        self._settle_unsent([claim for claim in claims if claim.key in unsure], part.error)
        if isinstance(part.error, Unknown):
            self._give_back(rest, str(part.error))
        else:
            self._settle_unsent(rest, part.error)

    def _settle_all_sent(self, claims: Sequence[Claim], receipts: Mapping[str, Receipt]) -> None:
        for claim in claims:
            receipt = receipts[claim.key]
            external_id = receipt.parts.get(claim.key, receipt.external_id)
            ledger.settle_sent(self.conn, claim, external_id=external_id, recipient=receipt.recipient)
        self.conn.commit()
        self.tally.sent += len(claims)

    def _settle_unsent(self, claims: Sequence[Claim], error: ClientError) -> None:
        """In doubt for a person, failed, or to be tried again, by the kind of the error."""
        if not claims:
            return
        if isinstance(error, Unknown):
            log.warning("%s: %s", self.channel.name, error)
            for claim in claims:
                ledger.ask_a_person(self.conn, claim, reason("letter_in_doubt", self.language))
            self.conn.commit()
        elif isinstance(error, Fatal) and not isinstance(error, ChannelDown):
            self._settle_failed(claims, str(error))
        else:
            self._give_back(claims, str(error))

    def _list_delivery(self, claims: Sequence[Claim], manager: Manager) -> Delivery:
        rows = [claim.follow_up for claim in claims]
        supplement = bool(
            ledger.already_sent_to(self.conn, self.as_of, self.channel.name, manager.instance, manager.manager_id)
        )
        joined = "|".join([self.channel.name, self.as_of.isoformat(), *sorted(claim.key for claim in claims)])
        key = Key(
            sha256(joined.encode()).hexdigest()[:32], min(claim.planned_at for claim in claims), tried_before=False
        )
        contacts = read_contacts(self.conn, manager.instance, rows)
        quality = read_quality(self.conn, self.as_of, manager.instance, manager.manager_id, self.language)
        results = read_results(self.conn, self.as_of, self.channel.name, manager.instance, manager.manager_id)
        return Delivery(key, self.as_of, manager, rows, contacts, quality, supplement, results)

    # --- both ---

    def rehearse(self) -> None:
        claims = ledger.due(self.conn, self.as_of, self.channel.name, self.branch_id, instance=self.instance)
        managers = read_managers(self.conn, [(c.follow_up.instance, c.follow_up.manager_id) for c in claims])
        groups: dict[object, list[Claim]] = {}
        for claim in claims:
            groups.setdefault(claim.key if self.channel.per == "client" else claim.follow_up.manager_id, []).append(
                claim
            )
        findings = self.channel.find([_key(claim) for claim in claims]) if self.channel.per == "client" else {}
        for group in groups.values():
            if isinstance(findings.get(group[0].key), Receipt):
                self.tally.found += 1
                continue
            row = group[0].follow_up
            manager, why = self._find_manager(row.instance, row.manager_id, managers)
            try:
                if manager is None:
                    raise Fatal(why)
                if self.channel.per == "client":
                    contacts = read_contacts(self.conn, row.instance, [row])
                    delivery = Delivery(_key(group[0]), self.as_of, manager, [row], contacts, Quality())
                else:
                    delivery = self._list_delivery(group, manager)
                self.channel.check(delivery)
            except ChannelDown as down:
                self._problem(str(down))
                break
            except Retriable as error:
                self._problem(str(error))
            except Fatal as error:
                self.tally.failed += len(group)
                self._problem(str(error))
            else:
                self.tally.would_send.append(
                    Rehearsed(self.channel.name, manager.manager_id, [claim.key for claim in group])
                )
        self.conn.rollback()

    def _manager(
        self, claim: Claim, managers: Mapping[tuple[str, str], Manager], claims: Sequence[Claim] | None = None
    ) -> Manager | None:
        """The rep of a row; without one, its rows fail with the reason and the others go on."""
        row = claim.follow_up
        manager, why = self._find_manager(row.instance, row.manager_id, managers)
        if manager is None:
            self._settle_failed(claims or [claim], why)
        return manager

    def _find_manager(
        self, instance: str, manager_id: str | None, managers: Mapping[tuple[str, str], Manager]
    ) -> tuple[Manager | None, str]:
        if manager_id is None:
            return None, reason("no_manager", self.language)
        manager = managers.get((instance, manager_id))
        if manager is None:
            return None, reason("unknown_manager", self.language)
        if not manager.is_active:
            return None, reason("inactive_manager", self.language)
        return manager, ""

    def _settle_failed(self, claims: Sequence[Claim], why: str) -> None:
        for claim in claims:
            ledger.settle_failed(self.conn, claim, why)
        self.conn.commit()
        log.warning("%s: %s rows failed: %s", self.channel.name, len(claims), why)
        self.tally.failed += len(claims)

    def _give_back(self, claims: Sequence[Claim], why: str) -> None:
        """Certainly not sent. A row that an earlier sender left behind stays in doubt until it is looked up."""
        for claim in claims:
            if claim.tried_before:
                ledger.leave_in_doubt(self.conn, claim, why, look_again_seconds=self.look_again_seconds)
            else:
                ledger.release(self.conn, claim, why)
                self.tally.waiting += 1
        self.conn.commit()
        self._problem(why)

    def _problem(self, why: str) -> None:
        message = f"{self.channel.name}: {why}"
        if message not in self.tally.problems:
            log.warning("%s", message)
            self.tally.problems.append(message)


def _nap(pause: float, sleep: Callable[[float], None]) -> float:
    """Sleep until a lease lapses, but look up early: another sender settles his rows long before."""
    seconds = min(pause + 0.05, LONGEST_NAP_SECONDS)
    sleep(seconds)
    return seconds


def _key(claim: Claim) -> Key:
    return Key(claim.key, claim.planned_at, claim.tried_before)
