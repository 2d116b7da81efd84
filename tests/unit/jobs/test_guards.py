"""The guards between a task and the people who would read its message."""

from datetime import date, timedelta

import pytest

from clients.connection import Connection
from expectations.gate import BranchVerdict
from polka import jobs
from warehouse import clock
from warehouse.settings import get_settings


@pytest.fixture
def channel_connections(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What connection ids resolve to; a test changes the addresses."""
    addresses = {"b24_main": "http://127.0.0.1:1/rest", "smtp_default": "localhost"}
    monkeypatch.setattr(jobs, "connection", lambda conn_id: Connection(url=addresses[conn_id]))
    return addresses


def pin(monkeypatch: pytest.MonkeyPatch, day: date, *, send: bool = True) -> None:
    monkeypatch.setenv("POLKA_BUSINESS_DATE", day.isoformat())
    monkeypatch.setenv("POLKA_SEND", str(send).lower())
    get_settings.cache_clear()


def test_a_list_of_another_day_is_never_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    pin(monkeypatch, date(2026, 3, 4))
    assert jobs.open_day() == "2026-03-04"
    with pytest.raises(jobs.NotToday, match="2026-03-03"):
        jobs.open_day("2026-03-03")


def test_a_pinned_other_date_speaks_to_this_machine_only(
    monkeypatch: pytest.MonkeyPatch, channel_connections: dict[str, str]
) -> None:
    pin(monkeypatch, clock.company_time().date() - timedelta(days=1))
    assert set(jobs._channel_connections()) == {"bitrix24", "email"}
    channel_connections["b24_main"] = "https://portal.example.org/rest"
    with pytest.raises(jobs.NotToday, match="bitrix24"):
        jobs._channel_connections()


def test_a_pinned_date_that_is_today_may_speak_to_everybody(
    monkeypatch: pytest.MonkeyPatch, channel_connections: dict[str, str]
) -> None:
    pin(monkeypatch, clock.company_time().date())
    channel_connections["b24_main"] = "https://portal.example.org/rest"
    assert jobs._channel_connections()["bitrix24"].url == "https://portal.example.org/rest"


def test_a_held_branch_makes_the_day_fail_visibly_after_the_others_went_out(
    monkeypatch: pytest.MonkeyPatch, channel_connections: dict[str, str]
) -> None:
    pin(monkeypatch, clock.company_time().date())
    monkeypatch.setattr("alerts.deliver.withdraw_answered", lambda *_, **__: 0)
    outcomes = [{"branch": "Север", "sent": 4, "failed": 0}, {"branch": "Юг", "held": "данные не обновлялись"}]
    with pytest.raises(jobs.DeliveryIncomplete, match="Юг: данные не обновлялись"):
        jobs.settle(clock.business_date().isoformat(), outcomes, ["Север", "Юг"])
    assert jobs.settle(clock.business_date().isoformat(), outcomes[:1], ["Север"])["sent"] == 4


def test_a_branch_whose_delivery_died_makes_the_day_fail(
    monkeypatch: pytest.MonkeyPatch, channel_connections: dict[str, str]
) -> None:
    pin(monkeypatch, clock.company_time().date())
    monkeypatch.setattr("alerts.deliver.withdraw_answered", lambda *_, **__: 0)
    with pytest.raises(jobs.DeliveryIncomplete, match="1 of 2"):
        jobs.settle(clock.business_date().isoformat(), [{"branch": "Север", "sent": 4}], ["Север", "Юг"])


def test_a_letter_that_only_a_person_can_check_is_said_aloud(
    monkeypatch: pytest.MonkeyPatch, channel_connections: dict[str, str]
) -> None:
    pin(monkeypatch, clock.company_time().date())
    monkeypatch.setattr("alerts.deliver.withdraw_answered", lambda *_, **__: 0)
    with pytest.raises(jobs.DeliveryIncomplete, match="a person must check: 1"):
        jobs.settle(
            clock.business_date().isoformat(), [{"branch": "Север", "sent": 4, "needs_attention": 1}], ["Север"]
        )


def test_a_dead_warehouse_holds_a_branch_and_does_not_end_its_day(monkeypatch: pytest.MonkeyPatch) -> None:
    pin(monkeypatch, date(2026, 3, 4))
    blind = BranchVerdict("onec_main", "all", None, "hold", "хранилище не отвечает", "it does not answer", 30, 0)
    monkeypatch.setattr("expectations.gate.evaluate", lambda *_, **__: [blind])
    monkeypatch.setattr("alerts.freeze.freeze", lambda *_, **__: pytest.fail("there is nothing to freeze into"))
    look = jobs.look_at_branch("2026-03-04", "onec_main/north", "run")
    assert (look["verdict"], look["branch_id"], look["reason_ru"]) == ("hold", "north", "хранилище не отвечает")


def test_only_the_looked_at_branch_is_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    pin(monkeypatch, date(2026, 3, 4))
    verdicts = [BranchVerdict("onec_main", name, name, "go", None, None, 30, 30) for name in ("north", "south")]
    frozen: list[BranchVerdict] = []
    monkeypatch.setattr("expectations.gate.evaluate", lambda *_, **__: verdicts)
    monkeypatch.setattr("alerts.freeze.freeze", lambda _, looked: frozen.extend(looked))
    assert jobs.look_at_branch("2026-03-04", "onec_main/south", "run")["branch_id"] == "south"
    assert frozen == verdicts[1:]
    with pytest.raises(jobs.DeliveryIncomplete, match="onec_main/west"):
        jobs.look_at_branch("2026-03-04", "onec_main/west", "run")


def test_a_held_base_without_branches_tells_its_own_people_only(
    monkeypatch: pytest.MonkeyPatch, channel_connections: dict[str, str]
) -> None:
    pin(monkeypatch, clock.company_time().date())
    told: list[object] = []
    monkeypatch.setattr("alerts.deliver.hold_notice", lambda *_, instance, **__: told.append(instance))
    held = {"verdict": "hold", "branch_id": "all", "branch_name": None, "reason_ru": "нет связи", "reason_en": "dead"}
    outcome = jobs.deliver_branch(clock.business_date().isoformat(), {"instance": "onec_south", **held})
    assert told == ["onec_south"]
    assert outcome == {"branch": "onec_south", "held": "нет связи"}


@pytest.mark.parametrize(
    ("hour_passed", "manual", "gives_up"), [(False, False, False), (True, False, True), (False, True, True)]
)
def test_a_held_branch_is_waited_for_until_the_cut_off(
    monkeypatch: pytest.MonkeyPatch, hour_passed: bool, manual: bool, gives_up: bool
) -> None:
    monkeypatch.setenv("POLKA_CUT_OFF", "00:00" if hour_passed else "23:59:59.999")
    get_settings.cache_clear()
    assert jobs.cut_off_passed(manual=manual) is gives_up


def test_an_unknown_source_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(jobs.UnknownSource, match="onec_moon"):
        jobs.source("onec_moon")
