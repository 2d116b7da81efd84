"""What a rule would have said on past days, with its present numbers and with others, from the history in the marts.

Every day is judged by the marts' own SQL (warehouse.rule_replay) as documents are known today. A story - one outlet, or
one debtor, silent since the same day - counts once, on the first looked-at day on which the rule tells it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from warehouse.db import Connection, connect
from warehouse.rule_replay import Rules, compile_rules, parameters, rules_of_day

RULES = (
    "missed_order", "lapsed", "overdue_debt", "missing_assortment", "reduced_quantity", "no_new_positions",
    "second_order", "signed_never_shipped", "pre_due_reminder", "discount_threshold",
)  # fmt: skip
# Rules about an order that did not come; a debt is answered by a payment, positions by an order that holds one of them.
_BY_ORDER = ("missed_order", "lapsed", "second_order", "signed_never_shipped", "pre_due_reminder")
_BY_POSITION = ("missing_assortment", "no_new_positions")
SOON_WORKING_DAYS = 2


class NothingToReplay(RuntimeError):
    """The history holds no working day that could be judged."""


@dataclass(frozen=True)
class Story:
    """A row that the rule would have made. Money in roubles. told_on: the first looked-at day with it."""

    told_on: date
    instance: str
    client_id: str
    outlet_id: str | None
    subject_id: str
    manager_id: str | None
    episode_on: date | None
    due_on: date | None
    money_at_risk: Decimal
    product_ids: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str, date | None]:
        return self.instance, self.subject_id, self.episode_on


@dataclass(frozen=True)
class Fate:
    """What came of a story without anybody being called: in how many working days, or not within the window.

    called: somebody was called in truth before it came, so it says nothing.
    """

    after_working_days: int | None
    called: bool


@dataclass(frozen=True)
class Measured:
    """One setting of the rule over the days looked at. Shares are of the stories that nobody was called about.

    rows: stories. rows_a_day_per_rep: over all working days and all reps. false_alarms: came by itself within
    SOON_WORKING_DAYS. self_cured: came by itself later, within the attribution window. Both are None for a rule whose
    answer cannot be seen. delay_days: mean days from the due day to the row. money: roubles at risk of all rows.
    """

    settings: Mapping[str, Any]
    rows: int
    rows_a_day_per_rep: float
    busiest_rep_a_day: float
    judged: int
    false_alarms: int | None
    self_cured: int | None
    money: Decimal
    delay_days: float | None


@dataclass(frozen=True)
class Backtest:
    """The same days by the present numbers and by those that were asked for (None when none were)."""

    rule: str
    first: date
    last: date
    days_looked_at: int
    working_days: int
    reps: int
    present: Measured
    changed: Measured | None
    only_present: int
    only_changed: int
    stories: tuple[tuple[Story, ...], ...] = field(default=(), repr=False)

    def as_json(self) -> dict[str, Any]:
        """Everything but the stories."""
        said = asdict(self)
        said.pop("stories")
        return said


def backtest(
    rule: str,
    settings: Mapping[str, Any],
    until: date,
    url: str,
    *,
    months: int = 12,
    every: int = 5,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Backtest:
    """Replay the working days of `months` before `until`, each `every`th of them.

    until: the day of the marts; nothing after it is looked at. Raises NothingToReplay, RulesDoNotCompile.
    """
    window = int(settings.get("attribution_working_days", parameters()["attribution_working_days"]))
    with connect(url) as conn:
        working = _working_days(conn, until - timedelta(days=round(months * 365.25 / 12)), until)
        conn.rollback()
    # The newest rows have had no time yet to cure themselves.
    days = working[: -window - 1][::-1][::every][::-1]
    if not days:
        raise NothingToReplay("there is no working day in the history whose rows have had time to be answered")
    progress("compile", 0, 1)
    wanted: list[Mapping[str, Any]] = [{}, settings] if settings else [{}]
    with ThreadPoolExecutor(len(wanted)) as pool:
        compiled = list(pool.map(lambda one: compile_rules(f"reason_{rule}", url, settings=one), wanted))
    told: list[list[Story]] = []
    with connect(url) as conn:
        for number, rules in enumerate(compiled):
            found: list[list[Story]] = []
            for done, day in enumerate(days):
                progress("days", number * len(days) + done, len(compiled) * len(days))
                found.append(_rows(conn, rules, rule, day))
            told.append(first_told(found))
        fates = [_fates(conn, rule, stories, working, window) for stories in told]
        reps = _reps(conn)
        conn.rollback()
    span = [day for day in working if days[0] <= day <= days[-1]]
    reps = max(reps, len({(s.instance, s.manager_id) for stories in told for s in stories}), 1)
    measured = [
        measure(one, stories, fate, len(span), reps) for one, stories, fate in zip(wanted, told, fates, strict=True)
    ]
    keys = [{story.key for story in stories} for stories in told]
    return Backtest(
        rule,
        days[0],
        days[-1],
        len(days),
        len(span),
        reps,
        measured[0],
        measured[1] if settings else None,
        len(keys[0] - keys[-1]),
        len(keys[-1] - keys[0]),
        tuple(tuple(stories) for stories in told),
    )


def first_told(days: Iterable[Sequence[Story]]) -> list[Story]:
    """Each story once, as it was on the first of the days."""
    seen: dict[tuple[str, str, date | None], Story] = {}
    for rows in days:
        for row in rows:
            seen.setdefault(row.key, row)
    return list(seen.values())


def measure(
    settings: Mapping[str, Any], stories: Sequence[Story], fates: Sequence[Fate] | None, working_days: int, reps: int
) -> Measured:
    """Count. working_days: of the span that was looked at."""
    by_rep: dict[tuple[str, str | None], int] = {}
    for story in stories:
        rep = (story.instance, story.manager_id)
        by_rep[rep] = by_rep.get(rep, 0) + 1
    judged = [fate for fate in fates or () if not fate.called]
    after = [fate.after_working_days for fate in judged if fate.after_working_days is not None]
    late = [(story.told_on - story.due_on).days for story in stories if story.due_on]
    return Measured(
        dict(settings),
        len(stories),
        len(stories) / working_days / reps,
        max(by_rep.values(), default=0) / working_days,
        len(judged),
        None if fates is None else sum(days <= SOON_WORKING_DAYS for days in after),
        None if fates is None else sum(days > SOON_WORKING_DAYS for days in after),
        sum((story.money_at_risk for story in stories), Decimal(0)),
        sum(late) / len(late) if late else None,
    )


def _rows(conn: Connection, rules: Rules, rule: str, day: date) -> list[Story]:
    with rules_of_day(conn, rules, day):
        found = conn.execute(
            f"""
            select instance, client_id, outlet_id, subject_id, manager_id, episode_on, due_on, money_at_risk,
                array(
                    select one ->> 'product_id'
                    from jsonb_array_elements(coalesce(evidence -> 'candidates', evidence -> 'positions', '[]')) as one
                )
            from pg_temp.reason_{rule} order by instance, subject_id, outlet_id
            """  # noqa: S608  -- one of RULES
        ).fetchall()
    return [
        Story(day, instance, client, outlet, subject, manager, episode, due, money, tuple(filter(None, products)))
        for instance, client, outlet, subject, manager, episode, due, money, products in found
    ]


def _fates(
    conn: Connection, rule: str, stories: Sequence[Story], working: Sequence[date], window: int
) -> list[Fate] | None:
    """What came of each story; None when that cannot be seen for this rule."""
    came = {
        **dict.fromkeys(_BY_ORDER, _ORDER_CAME),
        **dict.fromkeys(_BY_POSITION, _POSITION_CAME),
        "overdue_debt": _PAYMENT_CAME,
    }.get(rule)
    if came is None:
        return None
    number = {day: place for place, day in enumerate(working)}
    conn.execute("""
        create temporary table told_story (
            story_no integer primary key, told_on date, last_on date, instance text, client_id text, outlet_id text,
            subject_id text, product_ids text[]
        ) on commit drop
    """)
    with conn.cursor().copy("copy told_story from stdin") as copy:
        for place, story in enumerate(stories):
            last = working[min(number[story.told_on] + window, len(working) - 1)]
            copy.write_row((place, story.told_on, last, story.instance, story.client_id, story.outlet_id,
                            story.subject_id, list(story.product_ids)))  # fmt: skip
    conn.execute("analyze told_story")
    rows = conn.execute(
        f"""
        select story.story_no, answer.came_on, exists (
            select 1 from ops.delivery_ledger as told
            where told.instance = story.instance and told.client_id = story.client_id
              and (told.state = 'sent' or told.external_id is not null)
              and told.as_of between story.told_on and coalesce(answer.came_on, story.last_on)
        )
        from told_story as story
        left join lateral ({came}) as answer on true
        order by story.story_no
        """  # noqa: S608  -- one of the constants below
    ).fetchall()
    conn.rollback()
    return [Fate(_working_between(working, stories[no].told_on, on), called) for no, on, called in rows]


_ORDER_CAME = """
    select min(f.ordered_on) as came_on from marts.fct_order_occasion as f
    where f.instance = story.instance and not f.all_cancelled_by_us
      and f.ordered_on between story.told_on and story.last_on
      and case when story.outlet_id is null then f.client_id = story.client_id else f.outlet_id = story.outlet_id end
"""
_POSITION_CAME = """
    select min(f.ordered_on) as came_on from marts.fct_order_line as f
    where f.instance = story.instance and f.outlet_id = story.outlet_id and f.product_id = any(story.product_ids)
      and f.ordered_on between story.told_on and story.last_on and f.line_status not like 'cancelled%'
"""
_PAYMENT_CAME = """
    select min(cast(f.dated_at as date)) as came_on from staging.stg_onec__payment as f
    where f.instance = story.instance and f.legal_entity_id = story.subject_id
      and cast(f.dated_at as date) between story.told_on and story.last_on
      and f.posted and not f.deletion_mark and not f.is_deleted
"""


def _working_between(working: Sequence[date], first: date, last: date | None) -> int | None:
    """Working days after `first` up to `last`."""
    return None if last is None else sum(first < day <= last for day in working)


def _working_days(conn: Connection, first: date, last: date) -> list[date]:
    """Working days that the history of orders covers, the business date `last` included."""
    rows = conn.execute(
        """
        select day from ops.production_calendar
        where is_working_day and day between %s and %s
          and day > (select min(ordered_on) from marts.fct_order_occasion)
        order by day
        """,
        [first, last],
    ).fetchall()
    return [row[0] for row in rows]


def _reps(conn: Connection) -> int:
    """Reps who have outlets on the last day of the marts."""
    row = conn.execute("""
        select count(distinct (instance, manager_id)) from marts.order_expectation
        where as_of = (select max(as_of) from marts.order_expectation)
          and manager_id is not null and status not in ('closed', 'no_orders')
    """).fetchone()
    return int(row[0]) if row else 0
