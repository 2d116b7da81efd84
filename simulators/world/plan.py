"""Who orders when: rhythms first, then planted truths and traps. No document exists yet at this point.

Every outlet gets a plan whose next order comes no later than any reading of the rules expects it. A planted outlet
leaves this rhythm on purpose, and the plan keeps what it left out, so that the manifest needs no look at documents.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random
from typing import Literal

from simulators.world.names import WEEKDAYS
from simulators.world.workdays import DAY, add_working, is_working, next_working, previous_working

HISTORY_DAYS = 548  # 18 months
HORIZON_DAYS = 45  # how far after the anchor day the world goes on
LAST_DAYS = 10  # of these the world is not served: what would come later is not planned

State = Literal["valid", "cancelled_by_us", "cancelled_by_client", "draft", "deleted"]
Size = Literal["base", "less", "more", "double"]
_SIZES: tuple[Size, ...] = ("base", "less", "more")


@dataclass(frozen=True)
class Difference:
    """How an order differs from the habitual basket, by product number. Nothing else happens to such an order."""

    without: frozenset[int] = frozenset()
    quantities: Mapping[int, int] = field(default_factory=dict)  # other quantities, and further products
    refused: frozenset[int] = frozenset()  # lines that we cancelled
    taken_back: frozenset[int] = frozenset()  # lines that the client cancelled
    shipped: Mapping[int, int] = field(default_factory=dict)  # less than was ordered
    shipped_late_by: int = 0  # working days after the promise
    given_back: frozenset[int] = frozenset()  # products that came back whole


@dataclass
class Occasion:
    """Orders of one outlet on one day. `entered_on` is the day they were typed in, when it is not `day`."""

    day: date
    size: Size = "base"
    state: State = "valid"
    documents: int = 1
    entered_on: date | None = None
    requested_on: date | None = None
    at: tuple[int, int] | None = None
    returned: bool = False
    differs: Difference | None = None

    @property
    def visible_after(self) -> date:
        """The last day whose morning does not know of these orders."""
        return self.entered_on or self.day


@dataclass(frozen=True)
class Agreed:
    """Cadence of an agreement: these weekdays (0 is Monday) every n weeks from the week of `valid_from`."""

    weekdays: tuple[int, ...]
    every_weeks: int
    valid_from: date

    @property
    def text(self) -> str:
        return ",".join(WEEKDAYS[day] for day in self.weekdays)

    def scheduled(self, first: date, last: date) -> list[date]:
        """Scheduled days in [first, last], moved off non-working days, each once."""
        monday = self.valid_from - self.valid_from.weekday() * DAY
        days: set[date] = set()
        while monday <= last:
            days |= {next_working(monday + weekday * DAY) for weekday in self.weekdays}
            monday += timedelta(weeks=self.every_weeks)
        return sorted(day for day in days if max(first, self.valid_from) <= day <= last)


@dataclass(frozen=True)
class Stop:
    """An outlet that stopped ordering after `last`.

    agreed: `skipped` are the scheduled days it left out; learned: `cycle` is its median gap and `late_after` the last
    day on which the order was still in time. `resumed` is the day of its next order, `resumed_known` the day whose
    morning is the first to know of it.
    """

    basis: Literal["agreed", "learned"]
    last: date
    due: date
    skipped: tuple[date, ...] = ()
    cycle: int = 0
    late_after: date = date.max
    resumed: date | None = None
    resumed_known: date | None = None

    def missed_cycles(self, day: date) -> int:
        """Cycles left out as seen on the morning of `day`."""
        if self.basis == "agreed":
            return sum(1 for scheduled in self.skipped if scheduled < day)
        return max(1, (day - self.last).days // self.cycle)

    def status(self, day: date) -> Literal["on_time", "missed", "lapsed"]:
        """What is true of the outlet on the morning of `day`."""
        if day <= self.last or (self.resumed_known is not None and day >= self.resumed_known):
            return "on_time"
        deadline = add_working(self.due, 1) if self.basis == "agreed" else self.late_after
        if day <= deadline:
            return "on_time"
        return "lapsed" if self.missed_cycles(day) >= 3 and (day - self.last).days >= 30 else "missed"


@dataclass
class OutletPlan:
    """Rhythm and orders of one outlet."""

    role: str
    agreed: Agreed | None = None
    agreement: Literal["active", "expired", "none"] = "none"
    occasions: list[Occasion] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)
    traps: list[str] = field(default_factory=list)
    closed_on: date | None = None
    frozen_prices_from: date | None = None

    def freeze_prices(self, before: date) -> None:
        """One price list for the last orders, so that the median order is the habitual basket to the kopeck."""
        days = [o.day for o in self.occasions if o.day <= before][-13:]
        self.frozen_prices_from = min(days)


class Planner:
    """Plans of outlets around one anchor day."""

    def __init__(self, rng: Random, anchor: date, horizon_days: int = HORIZON_DAYS) -> None:
        self.rng = rng
        self.anchor = anchor
        self.start = anchor - HISTORY_DAYS * DAY
        self.end = anchor + horizon_days * DAY

    # rhythms

    def agreement(self, weekdays: Sequence[int] | None = None, every_weeks: int | None = None) -> Agreed:
        """A cadence that began some time in the first months of the history."""
        if weekdays is None:
            kind = self.rng.choices(["one", "two", "daily"], [70, 24, 6])[0]
            if kind == "one":
                weekdays = [self.rng.randrange(5)]
            elif kind == "two":
                weekdays = self.rng.choice([(0, 3), (1, 4), (0, 2), (1, 3)])
            else:
                weekdays = range(5)
        if every_weeks is None:
            every_weeks = 2 if len(weekdays) == 1 and self.rng.random() < 0.25 else 1
        valid_from = self.start + self.rng.randrange(0, 150) * DAY
        return Agreed(tuple(weekdays), every_weeks, valid_from)

    def regular_agreed(self, role: str = "regular") -> OutletPlan:
        """Orders on every scheduled day."""
        agreed = self.agreement()
        return self.agreed_plan(role, agreed, agreed.scheduled(self.start, self.end))

    def agreed_plan(self, role: str, agreed: Agreed, days: Sequence[date]) -> OutletPlan:
        return OutletPlan(role, agreed, "active", [Occasion(day, self._size()) for day in days])

    def regular_learned(self, role: str = "regular", cycle: int | None = None) -> OutletPlan:
        """Orders by habit: gaps of about `cycle` days, never later than `cycle + 1` days moved to a working day."""
        if cycle is None and self.rng.random() < 0.12:
            gaps: Iterator[int] = self._irregular_gaps()
        else:
            gaps = self._steady_gaps(cycle or self.rng.choice([3, 4, 5, 7, 7, 7, 10, 14, 14, 21, 28]))
        first = next_working(self.start + self.rng.randrange(0, 60) * DAY)
        return OutletPlan(role, occasions=[Occasion(d, self._size()) for d in self.walk(first, gaps, self.end)])

    def _steady_gaps(self, cycle: int) -> Iterator[int]:
        """At most a quarter below the cycle, so that the median never falls under it."""
        position = 0
        while True:
            position += 1
            if position % 4 == 0 and cycle > 3:
                yield cycle - self.rng.randrange(2)
            else:
                yield cycle + (self.rng.random() < 0.15)

    def _irregular_gaps(self) -> Iterator[int]:
        """Short and long gaps in turn: the long one is so common that it is never late."""
        short, long = self.rng.choice([(4, 12), (6, 15), (5, 9)])
        while True:
            yield short
            yield long

    def walk(self, first: date, gaps: Iterator[int], end: date) -> list[date]:
        days = []
        day = first
        while day <= end:
            days.append(day)
            day = next_working(day + next(gaps) * DAY)
        return days

    def _size(self) -> Size:
        return self.rng.choices(_SIZES, (50, 25, 25))[0]

    # planted truths

    def missed_agreed(
        self, cycles: int, *, around: date | None = None, resumes: bool | None = None
    ) -> OutletPlan | None:
        """An agreed outlet that on day `around` (the anchor) has left out exactly `cycles` scheduled days; None when
        the calendar allows no such thing."""
        day = around or self.anchor
        weekdays: list[Sequence[int]] = [(0,), (1,), (2,), (3,), (4,), (0, 3), (1, 4), (0, 1, 2, 3, 4)]
        weights = [4, 4, 4, 4, 4, 2, 2, 1]
        for choice in sorted(
            weekdays, key=lambda w: self.rng.random() ** (1 / weights[weekdays.index(w)]), reverse=True
        ):
            agreed = self.agreement(choice, 2 if cycles < 3 and len(choice) == 1 and self.rng.random() < 0.25 else 1)
            scheduled = agreed.scheduled(self.start, self.end)
            before = [s for s in scheduled if s < day]
            if len(before) <= cycles + 14:
                continue
            stop = self.agreed_stop(scheduled, len(before) - cycles - 1, resumes)
            if stop.status(day) == "missed" and stop.missed_cycles(day) == cycles:
                return self.stopped("planted", agreed, scheduled, stop)
        return None

    def agreed_stop(self, scheduled: Sequence[date], last: int, resumes: bool | None) -> Stop:
        """Stops after scheduled[last]; may order again on a scheduled day after the anchor."""
        later = [s for s in scheduled[last + 1 :] if s >= self.anchor]
        again = later[0] if later and (self.rng.random() < 0.5 if resumes is None else resumes) else None
        skipped = tuple(s for s in scheduled[last + 1 :] if again is None or s < again)
        known = None if again is None else again + DAY
        return Stop("agreed", scheduled[last], skipped[0], skipped, resumed=again, resumed_known=known)

    def stopped(self, role: str, agreed: Agreed, scheduled: Sequence[date], stop: Stop) -> OutletPlan:
        skipped = set(stop.skipped)
        plan = self.agreed_plan(role, agreed, [s for s in scheduled if s not in skipped])
        self.add_stop(plan, stop)
        return plan

    def add_stop(self, plan: OutletPlan, stop: Stop) -> None:
        plan.stops.append(stop)
        self.balance(plan, stop.last)

    def balance(self, plan: OutletPlan, last: date) -> None:
        """Make the habitual basket the median of the last twelve orders up to `last`: four below it, four above."""
        recent = [o for o in plan.occasions if o.day <= last and o.state in {"valid", "cancelled_by_us"}][-12:]
        sizes: list[Size] = [*_SIZES] * 4
        del sizes[len(recent) :]
        self.rng.shuffle(sizes)
        for occasion, size in zip(recent, sizes, strict=True):
            occasion.size = size
        plan.freeze_prices(last)

    def missed_learned(
        self, cycles: int, *, around: date | None = None, resumes: bool | None = None
    ) -> OutletPlan | None:
        """A habitual outlet that on day `around` is late by `cycles` cycles; None when the calendar allows none."""
        day = around or self.anchor
        candidates = [
            (cycle, days)
            for cycle in (5, 7, 7, 7, 10, 14)
            for days in range(max(cycle * cycles, cycle + 2), cycle * (cycles + 1))
        ]
        self.rng.shuffle(candidates)
        for cycle, days in candidates:
            last = day - days * DAY
            stop = self.learned_stop(last, cycle, resumes) if is_working(last) else None
            if stop is None or stop.status(day) != "missed" or stop.missed_cycles(day) != cycles:
                continue
            plan = self.learned_until(last, cycle)
            if plan is not None:
                self._resume(plan, stop, cycle)
                self.add_stop(plan, stop)
                return plan
        return None

    def learned_stop(self, last: date, cycle: int, resumes: bool | None) -> Stop:
        again = None
        if self.rng.random() < 0.5 if resumes is None else resumes:
            again = next_working(self.anchor + self.rng.randrange(0, 6) * DAY)
        known = None if again is None else again + DAY
        late_after = next_working(last + (cycle + 1) * DAY)
        due = last + cycle * DAY
        return Stop("learned", last, due, (), cycle, late_after, again, known)

    def learned_until(self, last: date, cycle: int) -> OutletPlan | None:
        """Orders up to `last` with gaps of cycle-1, cycle and cycle+1 whose median is the cycle and whose 90th
        percentile is at most cycle+1; None when holidays would bend more than one of the last twelve gaps."""
        days = [last]
        short = long = bent = 0
        while days[-1] > self.start:
            recent = len(days) <= 12
            options = [cycle] * 4
            if short < 4 or not recent:
                options.append(cycle - 1)
            if long < 3 or not recent:
                options.append(cycle + 1)
            self.rng.shuffle(options)
            gap = next((g for g in options if is_working(days[-1] - g * DAY)), None)
            if gap is None:
                gap = (days[-1] - previous_working(days[-1] - cycle * DAY)).days
                bent += recent
                if days[-1] >= self.anchor and days[-1] > next_working(days[-1] + (cycle + 1 - gap) * DAY):
                    return None  # late already after the holidays, on a day that is served
            short += recent and gap < cycle
            long += recent and gap > cycle
            days.append(days[-1] - gap * DAY)
        if bent > 1 or long > 4:
            return None
        if days[-1] < self.start:
            days.pop()
        return OutletPlan("planted", occasions=[Occasion(d, self._size()) for d in reversed(days)])

    def _resume(self, plan: OutletPlan, stop: Stop, cycle: int) -> None:
        if stop.resumed is not None:
            later = self.walk(stop.resumed, self._steady_gaps(cycle), self.end)
            plan.occasions += [Occasion(day, self._size()) for day in later]

    def stops_later(self, day: date) -> OutletPlan | None:
        """A regular outlet that first misses an order on `day`, some days after the anchor, for good."""
        if self.rng.random() < 0.6:
            return self.missed_agreed(1, around=day, resumes=False)
        return self.missed_learned(1, around=day, resumes=False)

    # traps: outlets that look late and are not, or are late although something lies about them

    def weekly(self) -> tuple[Agreed, list[date]]:
        """A weekly agreement on a random weekday and its scheduled days."""
        agreed = self.agreement([self.rng.randrange(5)], 1)
        return agreed, agreed.scheduled(self.start, self.end)

    def looks_late(self) -> tuple[OutletPlan, date, date]:
        """A weekly outlet that orders on all scheduled days but the last one whose deadline is over at the anchor.

        Returns the plan, the left-out day and the next scheduled day. The caller adds what excuses the gap.
        """
        best: tuple[Agreed, list[date], date] | None = None
        for weekday in self.rng.sample(range(5), 5):
            agreed = self.agreement([weekday], 1)
            scheduled = agreed.scheduled(self.start, self.end)
            due = max(s for s in scheduled if add_working(s, 1) < self.anchor)
            following = next(s for s in scheduled if s > due)
            # The excuse must hold until the next scheduled day, which must not be over too.
            if following >= self.anchor and (best is None or self.rng.random() < 0.5):
                best = agreed, scheduled, due
        if best is None:  # long holidays: take the last scheduled day of any week
            agreed, scheduled = self.weekly()
            due = max(s for s in scheduled if s < self.anchor)
        else:
            agreed, scheduled, due = best
        following = next(s for s in scheduled if s > due)
        plan = self.agreed_plan("trap", agreed, [s for s in scheduled if s != due])
        return plan, due, following

    def insert(self, plan: OutletPlan, occasion: Occasion) -> None:
        """Add an occasion in its place."""
        plan.occasions.append(occasion)
        plan.occasions.sort(key=lambda o: o.day)
