"""The keeper of one process, on a clock that only moves when somebody sleeps."""

import threading

import pytest

from clients.limits import Daily, Leaky, Limit, LimitReached, LocalLimits, Window, wait_for


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limits(clock: Clock) -> LocalLimits:
    return LocalLimits(clock=clock, sleep=clock.sleep)


def leave(limits: LocalLimits, clock: Clock, times: int, *wanted: Limit) -> list[float]:
    """Moments at which requests left, from the first call on."""
    started, moments = clock.now, []
    for _ in range(times):
        wait_for(limits, *wanted)
        moments.append(clock.now - started)
    return moments


def test_a_leaky_bucket_lets_a_burst_go_and_then_what_drains(limits: LocalLimits, clock: Clock) -> None:
    portal = Limit("portal", (Leaky(2.0, 50.0),))
    moments = leave(limits, clock, 60, portal)
    assert moments[:48] == [0.0] * 48  # two of the fifty are room for requests that come late
    assert moments[48:] == pytest.approx([0.5 * n for n in range(1, 13)])
    # The bucket of the portal itself, which knows nothing of ours, never overflows.
    level, seen = 0.0, 0.0
    for moment in moments:
        level = max(0.0, level - (moment - seen) * 2.0) + 1.0
        seen = moment
        assert level <= 50.0


def test_no_span_of_a_window_holds_more_than_allowed(limits: LocalLimits, clock: Clock) -> None:
    moments = leave(limits, clock, 100, Limit("account", (Window(7, 1.0),)))
    assert max(sum(start <= moment < start + 1.0 for moment in moments) for start in moments) <= 7
    assert moments[-1] == pytest.approx(99 // 7 * 1.1), "a tenth slower than allowed: room for late requests"


def test_a_request_counts_against_all_of_its_limits(limits: LocalLimits, clock: Clock) -> None:
    hub, search = Limit("hub", (Window(100, 10.0),)), Limit("hub:search", (Window(5, 1.0),))
    assert leave(limits, clock, 10, hub)[-1] == 0.0
    assert leave(limits, clock, 20, hub, search)[-1] == pytest.approx(3 * 1.1)
    # The general window has seen all thirty.
    assert leave(limits, clock, 70, hub)[-1] == 0.0
    assert leave(limits, clock, 1, hub)[-1] > 5.0


def test_a_spent_day_is_told_and_not_waited_for(limits: LocalLimits, clock: Clock) -> None:
    day = Limit("hub", (Daily(3),))
    leave(limits, clock, 3, day)
    with pytest.raises(LimitReached) as caught:
        wait_for(limits, day)
    assert caught.value.retry_after == pytest.approx(86_400.0)
    clock.now += 86_400.0
    wait_for(limits, day)


def test_a_pause_holds_everybody_and_leaves_the_bucket_full(limits: LocalLimits, clock: Clock) -> None:
    portal = Limit("portal", (Leaky(2.0, 50.0),))
    method = Limit("portal:crm.item.list")
    limits.pause(portal, 5.0)
    assert leave(limits, clock, 3, portal) == pytest.approx([5.5, 6.0, 6.5])
    limits.pause(method, 100.0)
    with pytest.raises(LimitReached):
        wait_for(limits, portal, method)
    assert leave(limits, clock, 1, portal)[0] <= 0.5, "other methods go on, and the refused request was not counted"


def test_slots_bound_what_runs_at_once() -> None:
    limits, lock = LocalLimits(), threading.Lock()
    running = most = 0

    def work() -> None:
        nonlocal running, most
        with limits.slot("base", 2):
            with lock:
                running += 1
                most = max(most, running)
            threading.Event().wait(0.02)
            with lock:
                running -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 2


def test_two_rules_of_a_kind_need_two_keys() -> None:
    with pytest.raises(ValueError, match="of its own"):
        Limit("hub", (Window(1, 1.0), Window(2, 2.0)))
