"""The cast of one world: how many outlets play which part, and what each part looks like."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from simulators.world.plan import LAST_DAYS, Agreed, Occasion, OutletPlan, Planner, State, Stop
from simulators.world.workdays import DAY, add_working, is_working, next_working, previous_working

# Builds one outlet's plan; None when the calendar around the anchor has no room for the part.
Part = Callable[[Planner], OutletPlan | None]
# Changes a plan in place; False when there is no room for it.
Change = Callable[[Planner, OutletPlan], bool]
# Gets a plan that left out `due` (second date: the next scheduled day) and adds the reason why that is no miss.
Excuse = Callable[[Planner, OutletPlan, date, date], bool]


def missed(basis: str, cycles: int) -> Part:
    """An outlet that must be called."""
    if basis == "agreed":
        return lambda planner: planner.missed_agreed(cycles)
    return lambda planner: planner.missed_learned(cycles)


def despite(name: str, part: Part, change: Change) -> Part:
    """An outlet that must be called although something about it looks like an order, or hides its rhythm."""

    def build(planner: Planner) -> OutletPlan | None:
        plan = part(planner)
        if plan is not None and change(planner, plan):
            plan.traps.append(name)
        return plan

    return build


def spared(name: str, excuse: Excuse) -> Part:
    """An outlet that looks late and must not be called."""

    def build(planner: Planner) -> OutletPlan | None:
        plan, due, following = planner.looks_late()
        if excuse(planner, plan, due, following):
            plan.traps.append(name)
        else:
            planner.insert(plan, Occasion(due))
        return plan

    return build


def no_order_on_due_day(state: State) -> Change:
    """On the left-out day lies a document that is no order."""

    def change(planner: Planner, plan: OutletPlan) -> bool:
        planner.insert(plan, Occasion(plan.stops[0].due, "base", state))
        return True

    return change


def goods_came_back(planner: Planner, plan: OutletPlan) -> bool:
    """A return after the last order is no order."""
    next(o for o in plan.occasions if o.day == plan.stops[0].last).returned = True
    return True


def at_midnight(planner: Planner, plan: OutletPlan) -> bool:
    """Shortly after midnight in Moscow is still yesterday in UTC: the day is the base's own."""
    for occasion in plan.occasions:
        early = occasion.day <= plan.stops[0].last  # later ones must not be known on their own morning
        occasion.at = planner.rng.choice([(0, 7), (0, 21), (23, 48)]) if early else (23, 48)
    return True


def two_documents(planner: Planner, plan: OutletPlan) -> bool:
    """1C splits an order by warehouse: two documents of one day are one order."""
    for occasion in plan.occasions:
        occasion.documents = 2
    return True


def expired_agreement(planner: Planner, plan: OutletPlan) -> bool:
    """A cadence that is no longer in force: the habit counts."""
    plan.agreed = planner.agreement()
    plan.agreement = "expired"
    return True


def back_dated_later(planner: Planner, plan: OutletPlan) -> bool:
    """The left-out order turns up some days after the anchor, dated back to its day."""
    stop = plan.stops[0]
    known = planner.anchor + 2 * DAY
    past = [day for day in stop.skipped if day < planner.anchor]
    if len(past) != 1 or stop.resumed is not None:
        return False
    planner.insert(plan, Occasion(stop.due, entered_on=known))
    for day in stop.skipped:
        if day >= planner.anchor:  # it never stopped ordering
            planner.insert(plan, Occasion(day))
    known_from = min([known, *(day for day in stop.skipped if day >= planner.anchor)]) + DAY
    plan.stops[0] = Stop("agreed", stop.last, stop.due, stop.skipped, resumed=stop.due, resumed_known=known_from)
    return True


def cancelled_by_us(planner: Planner, plan: OutletPlan, due: date, following: date) -> bool:
    """The client did order; it was us who cancelled."""
    planner.insert(plan, Occasion(due, "base", "cancelled_by_us"))
    return True


def draft(planner: Planner, plan: OutletPlan, due: date, following: date) -> bool:
    """An order that nobody posted is work for us, not for the client."""
    planner.insert(plan, Occasion(due, "base", "draft"))
    return True


def ordered_early(planner: Planner, plan: OutletPlan, due: date, following: date) -> bool:
    """An order just before its day covers it."""
    early = previous_working(due)
    before = max(o.day for o in plan.occasions if o.day < due)
    if due - early >= early - before:
        return False  # nearer to the scheduled day before
    planner.insert(plan, Occasion(early))
    return True


def stocked_up(planner: Planner, plan: OutletPlan, due: date, following: date) -> bool:
    """A double order lasts two cycles."""
    last = max((o for o in plan.occasions if o.day < due), key=lambda o: o.day)
    planner.balance(plan, last.day)
    last.size = "double"
    return True


def back_dated(planner: Planner, plan: OutletPlan, due: date, following: date) -> bool:
    """Typed in after its day, but before the list is made."""
    planner.insert(plan, Occasion(due, entered_on=min(due + 2 * DAY, planner.anchor - DAY)))
    return True


def future_order(planner: Planner, plan: OutletPlan, due: date, following: date) -> bool:
    """The next order is in the base already, dated ahead."""
    ahead = next(o for o in plan.occasions if o.day > planner.anchor)
    ahead.entered_on = planner.anchor - DAY
    return True


def open_order(planner: Planner, plan: OutletPlan, due: date, following: date) -> bool:
    """The last order is to be shipped on the next scheduled day."""
    if following < planner.anchor:
        return False
    last = max((o for o in plan.occasions if o.day < due), key=lambda o: o.day)
    last.requested_on = following
    return True


def stocked_up_learned(planner: Planner) -> OutletPlan | None:
    """A habitual outlet whose double order has just outlived one cycle."""
    plan = planner.missed_learned(1, resumes=False)
    if plan is None:
        return None
    stop = plan.stops.pop()
    last = plan.occasions[-1]
    last.size = "double"
    again = next_working(last.day + 2 * stop.cycle * DAY)
    if again < planner.anchor:
        return None
    gaps = iter(lambda: stop.cycle, None)
    plan.occasions += [Occasion(day) for day in planner.walk(again, gaps, planner.end)]
    plan.role = "trap"
    plan.traps.append("stocked_up")
    return plan


def within_grace(planner: Planner) -> OutletPlan | None:
    """Due on the last working day, ordered a working day later: still in time."""
    due = previous_working(planner.anchor)
    if due.weekday() > 4:
        return None
    return _one_day_late(planner, planner.agreement([due.weekday()], 1), due, "within_grace")


def holiday_shift(planner: Planner) -> OutletPlan | None:
    """Due on a day off: the due day and the grace move to working days."""
    for back in range(1, 14):
        nominal = planner.anchor - back * DAY
        due = next_working(nominal)
        if (
            not is_working(nominal)
            and due < planner.anchor <= add_working(due, 1)
            and planner.anchor > next_working(nominal + DAY)
        ):
            return _one_day_late(planner, planner.agreement([nominal.weekday()], 1), due, "holiday_shift")
    return None


def _one_day_late(planner: Planner, agreed: Agreed, due: date, trap: str) -> OutletPlan | None:
    scheduled = agreed.scheduled(planner.start, planner.end)
    late = add_working(due, 1)
    following = next(s for s in scheduled if s > due)
    if due not in scheduled or following - late <= late - due:
        return None
    plan = planner.agreed_plan("trap", agreed, [late if s == due else s for s in scheduled])
    plan.traps.append(trap)
    return plan


def lapsed(basis: str) -> Part:
    """Too long ago for a friendly call about one order."""

    def build(planner: Planner) -> OutletPlan | None:
        for cycles in (6, 5, 7, 4, 8):
            day = planner.anchor
            if basis == "agreed":
                agreed, scheduled = planner.weekly()
                before = [s for s in scheduled if s < day]
                stop = planner.agreed_stop(scheduled, len(before) - cycles - 1, resumes=False)
                plan = planner.stopped("trap", agreed, scheduled, stop)
            else:
                last = previous_working(day - 7 * cycles * DAY)
                stop = planner.learned_stop(last, 7, resumes=False)
                found = planner.learned_until(last, 7)
                if found is None:
                    continue
                plan = found
                planner.add_stop(plan, stop)
            if stop.status(day) == "lapsed":
                plan.role = "trap"
                plan.traps.append("lapsed")
                return plan
        return None

    return build


def closed(planner: Planner) -> OutletPlan | None:
    """Closed after its last order."""
    agreed, scheduled = planner.weekly()
    last = max(s for s in scheduled if s < planner.anchor - 15 * DAY)
    plan = planner.agreed_plan("trap", agreed, [s for s in scheduled if s <= last])
    plan.closed_on = last + 6 * DAY
    plan.traps.append("closed")
    return plan


def single_order(planner: Planner) -> OutletPlan | None:
    """One order tells no rhythm."""
    day = previous_working(planner.anchor - planner.rng.randrange(5, 50) * DAY)
    return OutletPlan("trap", occasions=[Occasion(day)], traps=["single_order"])


def little_history(planner: Planner) -> OutletPlan | None:
    """Three or four orders tell too little."""
    first = next_working(planner.anchor - planner.rng.randrange(50, 70) * DAY)
    days = [next_working(first + 7 * n * DAY) for n in range(planner.rng.choice([3, 4]))]
    return OutletPlan("trap", occasions=[Occasion(day) for day in days], traps=["little_history"])


def never_ordered(planner: Planner) -> OutletPlan | None:
    """A prospect in the catalogue."""
    return OutletPlan("prospect", traps=["never_ordered"])


# How many outlets play each part; all others order in time.
CAST: tuple[tuple[int, Part], ...] = (
    (8, missed("agreed", 1)),
    (5, missed("agreed", 2)),
    (3, missed("agreed", 3)),
    (6, missed("learned", 1)),
    (4, missed("learned", 2)),
    (2, missed("learned", 3)),
    (1, despite("return_only_is_no_order", missed("agreed", 2), goods_came_back)),
    (2, despite("cancelled_by_client", missed("agreed", 1), no_order_on_due_day("cancelled_by_client"))),
    (1, despite("deleted_order", missed("agreed", 2), no_order_on_due_day("deleted"))),
    (2, despite("two_documents_one_day", missed("agreed", 1), two_documents)),
    (1, despite("two_documents_one_day", missed("learned", 1), two_documents)),
    (2, despite("late_evening", missed("agreed", 1), at_midnight)),
    (1, despite("late_evening", missed("learned", 1), at_midnight)),
    (2, despite("expired_agreement", missed("learned", 1), expired_agreement)),
    (2, despite("back_dated_later", lambda p: p.missed_agreed(1, resumes=False), back_dated_later)),
    (2, spared("cancelled_by_us", cancelled_by_us)),
    (2, spared("draft", draft)),
    (2, spared("ordered_early", ordered_early)),
    (2, spared("stocked_up", stocked_up)),
    (2, stocked_up_learned),
    (2, spared("back_dated", back_dated)),
    (2, spared("future_order", future_order)),
    (2, spared("open_order", open_order)),
    (2, within_grace),
    (2, holiday_shift),
    (2, lapsed("agreed")),
    (2, lapsed("learned")),
    (2, closed),
    (3, single_order),
    (3, little_history),
    (2, never_ordered),
)
# Outlets that first miss an order on one of these days after the anchor.
LATER_STOPS = 30


def later_stop(planner: Planner) -> OutletPlan | None:
    """An outlet in rhythm at the anchor that stops some days later."""
    day = planner.anchor + planner.rng.randrange(1, (planner.end - planner.anchor).days - LAST_DAYS - 7) * DAY
    plan = planner.stops_later(day)
    if plan is None:
        return None
    plan.role = "stops_later"
    return plan if all(stop.status(planner.anchor) == "on_time" for stop in plan.stops) else None
