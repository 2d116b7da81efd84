"""The amoCRM client against an account that really counts, refuses and forgets."""

import logging
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from clients.amocrm import (
    AccessLost,
    AmocrmClient,
    BlockedForLong,
    NoSuchRecord,
    marked_followup,
    task_marker,
)
from clients.connection import Connection
from clients.errors import Fatal, Retriable, TooLarge, Unknown
from clients.limits import LimitReached, LocalLimits
from clients.tokens import MemoryTokens, Tokens, TokenStore
from simulators.amocrm import Fault, Limits
from tests.support.amocrm import INTEGRATION, Account, running_account
from warehouse.db import connect
from warehouse.tokens import SharedTokens

KEY = "0123456789abcdef0123456789abcdef"
TASK = [{"text": "Позвонить", "complete_till": 1_900_000_000}]


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    with running_account(tmp_path) as running:
        yield running


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    return slept


def client(account: Account) -> AmocrmClient:
    return AmocrmClient(account.connection())


def shared(database: str) -> SharedTokens[Tokens]:
    return SharedTokens(lambda: connect(database, autocommit=True), Tokens, keys="")


def test_a_followup_is_recognised_by_its_marker_only() -> None:
    assert marked_followup(f"Позвонить\n\n{task_marker(KEY)}") == KEY
    assert marked_followup(f"Позвонить {KEY}") is None
    assert marked_followup(None) is None


def test_nothing_found_is_none_and_a_record_is_bytes(account: Account) -> None:
    portal = client(account)
    assert portal.get("leads", {"filter": {"id": [1]}}) is None
    assert b"current_user_id" in (portal.get("account") or b"")
    with pytest.raises(NoSuchRecord):
        portal.get("leads/1")


def test_what_passes_is_asked_again(account: Account, pauses: list[float]) -> None:
    account.plan(Fault("internal_error"), Fault("bad_gateway"), Fault("too_many"), Fault("reset_before_acting"))
    assert client(account).get("account") is not None
    assert account.app.calls["GET account"] == 5


def test_what_a_person_must_change_is_said_and_not_asked_again(account: Account) -> None:
    account.plan(Fault("not_paid"))
    with pytest.raises(Fatal, match="not paid"):
        client(account).get("account")
    with pytest.raises(AccessLost, match="long-lived token"):
        AmocrmClient(Connection(url=account.address, password="wrong")).get("account")
    assert account.app.calls["GET account"] == 2


def test_a_task_that_may_be_there_is_never_made_again(account: Account, pauses: list[float]) -> None:
    for fault in ("timeout_after_acting", "reset_after_acting"):
        account.plan(Fault(fault, "POST tasks", seconds=0.1))
        with pytest.raises(Unknown):
            client(account).post("tasks", TASK)
    assert account.app.calls["POST tasks"] == 2
    assert len(account.tasks()) == 2


def test_refusals_before_anything_was_done_are_repeated(account: Account, pauses: list[float]) -> None:
    account.plan(Fault("too_many", "POST tasks"))
    client(account).post("tasks", TASK)
    assert len(account.tasks()) == 1
    account.plan(Fault("internal_error", "POST tasks"))
    with pytest.raises(Unknown):
        client(account).post("tasks", TASK)


def test_validation_errors_name_places_and_no_values(account: Account) -> None:
    with pytest.raises(Fatal, match="complete_till: FieldMissing") as error:
        client(account).post("tasks", [{"text": "Позвонить +7 900 000-00-01"}])
    assert "900" not in str(error.value)


def test_a_page_that_takes_too_long_is_told_apart(account: Account) -> None:
    account.plan(Fault("gateway_timeout", "GET leads"))
    with pytest.raises(TooLarge):
        client(account).get("leads")


def test_a_blocked_address_is_left_alone_by_everybody(account: Account, pauses: list[float]) -> None:
    limits = LocalLimits()
    account.plan(Fault("blocked", "GET account"))
    with pytest.raises(BlockedForLong):
        AmocrmClient(account.connection(), limits=limits).get("account")
    with pytest.raises(LimitReached):
        AmocrmClient(account.connection(), limits=limits).get("users")
    assert sum(account.app.calls.values()) == 1


def test_seven_a_second_are_kept_by_all_who_share_the_limit(tmp_path: Path) -> None:
    with running_account(tmp_path, limits=Limits()) as account:
        limits = LocalLimits()
        connection = Connection(url=account.address, password=INTEGRATION.long_lived_token)

        def work() -> None:
            portal = AmocrmClient(connection, limits=limits)
            for _ in range(7):
                portal.get("account")

        began = time.monotonic()
        workers = [threading.Thread(target=work) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        # On a busy machine a request may come late enough to be one too many; without the limit twenty would be.
        assert account.app.gate.refused <= 4
        assert 3.0 <= time.monotonic() - began < 60
        assert account.app.calls["GET account"] == 28 + account.app.gate.refused


@pytest.mark.parametrize("url", ["ftp://a.amocrm.ru", "http://a.amocrm.ru", "https://a.amocrm.ru/leads", "a.amocrm.ru"])
def test_an_address_that_cannot_work_is_refused(url: str) -> None:
    with pytest.raises(Fatal):
        AmocrmClient(Connection(url=url, password="token"))


def test_a_connection_without_credentials_is_refused() -> None:
    url = "https://a.amocrm.ru"
    with pytest.raises(Fatal, match="long-lived token"):
        AmocrmClient(Connection(url=url))
    with pytest.raises(Fatal, match="client_secret, redirect_uri"):
        AmocrmClient(Connection(url=url, extra={"client_id": "1"}))
    everything = {"client_id": "1", "client_secret": "2", "redirect_uri": "3"}
    with pytest.raises(Fatal, match="store"):
        AmocrmClient(Connection(url=url, extra=everything))


# --- OAuth ---


def test_the_code_is_exchanged_once_and_many_workers_live_on_its_pair(account: Account, database: str) -> None:
    failures: list[Exception] = []

    def work() -> None:
        try:
            AmocrmClient(account.oauth(), tokens=shared(database)).get("account")
        except Exception as error:
            failures.append(error)

    workers = [threading.Thread(target=work) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert failures == []
    assert (account.app.access.exchanges, account.app.access.refusals) == (1, 0)


def test_an_expired_token_is_renewed_by_one_of_many(account: Account, database: str) -> None:
    portals = [AmocrmClient(account.oauth(), tokens=shared(database)) for _ in range(6)]
    for portal in portals:
        portal.get("account")
    account.app.access.end_access_tokens()
    workers = [threading.Thread(target=portal.get, args=["account"]) for portal in portals]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert (account.app.access.exchanges, account.app.access.refusals) == (2, 0)


def test_a_pair_is_renewed_before_its_end_and_not_at_every_request(tmp_path: Path, database: str) -> None:
    with running_account(tmp_path, token_lifetime=2.0) as account:
        portal = AmocrmClient(account.oauth(), tokens=shared(database))
        for _ in range(5):
            portal.get("account")
        assert account.app.access.exchanges == 1
        time.sleep(1.6)
        portal.get("account")
        assert account.app.access.exchanges == 2
        assert account.app.access.refusals == 0


def test_an_early_renewal_that_fails_costs_a_warning(
    account: Account, database: str, pauses: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    AmocrmClient(account.oauth(), tokens=shared(database)).get("account")
    with connect(database) as conn:  # as if its time was near
        conn.execute("update ops.oauth_token set secret = %s", [nearly_over(shared(database))])
    account.plan(Fault("internal_error", "POST oauth2/access_token", times=50))
    portal = AmocrmClient(account.oauth(), tokens=shared(database))
    portal.get("account")
    portal.get("users")
    assert "could not be renewed before its time" in caplog.text
    account.plan()


def nearly_over(tokens: SharedTokens[Tokens]) -> bytes:
    import json
    from datetime import timedelta

    pair = tokens.get(next(iter(keys_of(tokens))))
    assert pair is not None
    soon = tokens.now() + timedelta(hours=1)
    return json.dumps(
        {"access": pair.access, "refresh": pair.refresh, "expires_at": soon.isoformat(), "seed": pair.seed,
         "extra": dict(pair.extra)}
    ).encode()  # fmt: skip


def keys_of(tokens: SharedTokens[Tokens]) -> list[str]:
    with tokens._database() as conn:
        return [row[0] for row in conn.execute("select token_key from ops.oauth_token").fetchall()]


def test_a_lost_answer_to_the_renewal_is_survived_until_the_access_token_ends(
    account: Account, database: str, pauses: list[float]
) -> None:
    """The portal has taken the refresh token and its answer never came: nobody can get that pair back."""
    AmocrmClient(account.oauth(), tokens=shared(database)).get("account")
    with connect(database) as conn:
        conn.execute("update ops.oauth_token set secret = %s", [nearly_over(shared(database))])
    account.plan(Fault("reset_after_acting", "POST oauth2/access_token"))
    portal = AmocrmClient(account.oauth(), tokens=shared(database))
    assert portal.get("account") is not None  # still by the old access token
    account.app.access.end_access_tokens()
    with pytest.raises(AccessLost, match="grant access anew"):
        portal.get("account")
    code = account.app.access.grant_again()
    assert AmocrmClient(account.oauth(code=code), tokens=shared(database)).get("account") is not None


def test_without_its_code_the_connection_lives_on_the_stored_pair(account: Account, database: str) -> None:
    AmocrmClient(account.oauth(), tokens=shared(database)).get("account")
    account.app.access.end_access_tokens()
    assert AmocrmClient(account.oauth(code=None), tokens=shared(database)).get("account") is not None
    with pytest.raises(AccessLost, match="no token is stored"):
        AmocrmClient(account.oauth(code=None), tokens=memory()).get("account")


def memory() -> TokenStore:
    return MemoryTokens(lambda: datetime.now(UTC))


def test_access_that_was_withdrawn_is_said(account: Account) -> None:
    portal = AmocrmClient(account.oauth(), tokens=memory())
    portal.get("account")
    account.app.access.revoke()
    with pytest.raises(AccessLost, match="refuses to renew"):
        portal.get("account")


def test_no_secret_is_in_any_log_or_error(
    account: Account, database: str, caplog: pytest.LogCaptureFixture, pauses: list[float]
) -> None:
    caplog.set_level(logging.DEBUG)
    said: list[str] = []
    portal = AmocrmClient(account.oauth(), tokens=shared(database))
    long_lived = client(account)
    for fault in ("internal_error", "reset_after_acting", "blocked", "unauthorized", "not_paid", "gateway_timeout"):
        for speaker in (portal, long_lived):
            account.plan(Fault(fault, times=3, seconds=0.01))
            try:
                speaker.post("tasks", TASK)
            except (Fatal, Retriable, Unknown) as error:
                said += [str(error), repr(error)]
    pair = shared(database).get(keys_of(shared(database))[0])
    assert pair is not None
    secrets = [
        INTEGRATION.client_secret, INTEGRATION.code, INTEGRATION.long_lived_token, pair.access, pair.refresh,
    ]  # fmt: skip
    everything = caplog.text + "\n".join(said) + repr(account.oauth()) + repr(pair)
    assert said
    assert [secret for secret in secrets if secret in everything] == []
