"""What people read: the fact first, sums that add up, nouns that agree, nothing that blames."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts import wording
from alerts.followups import FollowUp, follow_up_from_payload
from alerts.quality import HeldBranch, Quality
from alerts.render import FACT_LIMIT, TITLE_LIMIT, Contacts, Renderer
from tests.support.delivery import AS_OF, follow_up, outlet

RU, EN = Renderer("ru"), Renderer("en")


def row(number: int = 1, **changes: Any) -> FollowUp:
    return follow_up_from_payload(json.dumps(follow_up(number, **changes), default=str))


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "0 точек"),
        (1, "1 точка"),
        (2, "2 точки"),
        (5, "5 точек"),
        (11, "11 точек"),
        (21, "21 точка"),
        (112, "112 точек"),
        (1204, "1 204 точки"),
    ],
)
def test_numerals_agree(number: int, said: str) -> None:
    assert plain(wording.count(number, "outlet", "ru")) == said


@pytest.mark.parametrize(
    ("weekdays", "weeks", "said"),
    [
        (("пн",), 1, "раз в неделю, по понедельникам"),
        (("пн", "чт"), 1, "по понедельникам и четвергам"),
        (("ср",), 2, "раз в 2 недели, по средам"),
        (("пн", "ср", "пт"), 1, "пн, ср, пт"),
        ((), 1, "раз в неделю"),
    ],
)
def test_rhythm_of_an_agreement(weekdays: tuple[str, ...], weeks: int, said: str) -> None:
    assert plain(wording.rhythm(weekdays, weeks, "ru")) == said


@pytest.mark.parametrize(
    ("cadence", "said"),
    [
        ("1", "каждый день"),
        ("7", "раз в неделю"),
        ("14", "раз в 2 недели"),
        ("10", "раз в 10 дней"),
        ("7.5", "раз в 7–8 дней"),
        ("21", "раз в 3 недели"),
        ("2.000000", "раз в 2 дня"),
    ],
)
def test_learned_rhythm(cadence: str, said: str) -> None:
    assert plain(wording.every_days(Decimal(cadence), "ru")) == said


def test_money_is_rounded_half_up_and_never_breaks() -> None:
    assert wording.money(Decimal("36799.50"), "ru") == "36\N{NO-BREAK SPACE}800\N{NO-BREAK SPACE}₽"
    assert wording.money(Decimal(0), "ru") == "0\N{NO-BREAK SPACE}₽"


def test_an_agreed_order_missed_twice() -> None:
    told = row()
    assert (
        plain(RU.fact(told))
        == "Договор: раз в неделю, по понедельникам. Последний заказ 26.05, пропущены 02.06 и 09.06."
    )
    assert plain(RU.money_line(told)) == "36 800 ₽ (2 × 18 400 ₽)"
    assert plain(RU.ask(told)) == (
        "Позвоните и узнайте, почему нет заказа. Предложите обычный заказ: 10 позиций, около 18 400 ₽. "
        "Ближайшая отгрузка 11.06, ср."
    )
    assert plain(EN.fact(told)) == "Agreed: weekly, on Mondays. Last order 26.05, missed 02.06 and 09.06."


@pytest.mark.parametrize(
    ("missed", "said"),
    [
        (["2025-06-09"], "пропущен 09.06."),
        (["2025-05-26", "2025-06-02", "2025-06-09"], "пропущены 26.05, 02.06 и 09.06."),
        (["2025-04-28", "2025-05-05", "2025-05-12", "2025-05-19", "2025-05-26"], "пропущено 5 заказов, с 28.04."),
    ],
)
def test_how_missed_days_are_told(missed: list[str], said: str) -> None:
    told = row(outlets=[outlet(1, missed_due_dates=missed, missed_cycles=len(missed))])
    assert plain(RU.fact(told)).endswith(said)


def test_a_learned_rhythm_and_no_more_than_three_orders_at_risk() -> None:
    seldom = outlet(
        1,
        basis="learned",
        weekdays=None,
        every_weeks=None,
        cadence_days=10.0,
        last_ordered_on="2025-04-11",
        missed_due_dates=[],
        missed_cycles=6,
        median_amount=84000.00,
        money_at_risk=252000.00,
    )
    told = row(outlets=[seldom])
    assert (
        plain(RU.fact(told))
        == "Обычно заказывает раз в 10 дней. Последний заказ 11.04, прошло 60 дней, пропущено 6 заказов."
    )
    assert plain(RU.money_line(told)) == "252 000 ₽ (3 × 84 000 ₽)"


def test_arithmetic_is_shown_only_when_it_is_true() -> None:
    assert RU.arithmetic(row(outlets=[outlet(1, money_at_risk=36000.00)])) is None
    assert RU.arithmetic(row(outlets=[outlet(1, missed_cycles=1, money_at_risk=18400.00)])) is None
    # 2 x 13 999.50 is 27 999, but 2 x 14 000 is not.
    assert RU.arithmetic(row(outlets=[outlet(1, median_amount=13999.50, money_at_risk=27999.00)])) is None


def test_a_postcode_is_left_out_of_the_place() -> None:
    assert RU.place(row(outlets=[outlet(1, address="461014, Азов г, ул. Мира, дом 9")])) == (
        "Продукты № 1, Магазин у дома, Азов г, ул. Мира, дом 9"
    )


def test_several_outlets_are_one_row() -> None:
    told = row(outlets=[outlet("а"), outlet("б"), outlet("в", money_at_risk=40000.00)], outlets_total=7)
    assert plain(RU.fact(told)) == "Нет заказа в 3 из 7 точек: Продукты № в; Продукты № а; Продукты № б."
    assert plain(RU.task_title(told)).startswith("Нет заказа в 3 из 7 точек: «ИП Петрова, магазин 1», под риском")
    description = plain(RU.task_description(told, None))
    assert "Продукты № в: последний заказ 26.05, пропущено 2 заказа, 40 000 ₽" in description
    assert "Предложите обычный заказ по каждой точке." in description


def test_little_history_is_said_openly() -> None:
    assert "Мало истории" in RU.ask(row(confidence="little_history"))
    assert "Мало истории" not in RU.ask(row())


def test_names_cannot_break_the_markup() -> None:
    nasty = row(
        client_name="[B]Рога[/B]\r\nBcc: x@y <script>alert(1)</script>",
        outlets=[outlet(1, name="[URL=x]жми[/URL]", address="<b>дом</b>")],
    )
    description = RU.task_description(nasty, "[I]1[/I]")
    assert description.count("[") == 4  # our own two bold headings
    letter = RU.list_letter([nasty], Contacts())
    assert "<script>" not in letter.html
    assert "&lt;script&gt;" in letter.html
    assert "\n" not in letter.subject
    assert "\n" not in RU.task_title(nasty)


def test_moments_are_told_in_the_companys_zone() -> None:
    morning = datetime(2025, 6, 10, 3, 10, tzinfo=UTC)
    assert wording.moment_text(morning, "Europe/Moscow", AS_OF, "ru") == "06:10"
    assert wording.moment_text(morning - timedelta(hours=12), "Europe/Moscow", AS_OF, "ru") == "09.06 18:10"
    assert wording.day(date(2024, 12, 30), AS_OF) == "30.12.2024"


def test_withdrawal_says_when_and_how_much() -> None:
    at = datetime(2025, 6, 10, 7, 42, tzinfo=UTC)
    said = RU.withdrawn(AS_OF, orders=1, amount=Decimal("17900.00"), at=at, on=AS_OF)
    assert plain(said) == "Снято: заказ поступил в 10:42, 17 900 ₽"
    said = RU.withdrawn(AS_OF, orders=3, amount=Decimal("54000"), at=None, on=date(2025, 6, 9))
    assert plain(said) == "Снято: 3 заказа поступили 09.06, 54 000 ₽"


def test_empty_day_and_hold() -> None:
    at = datetime(2025, 6, 10, 3, 10, tzinfo=UTC)
    assert "Сегодня по вашим клиентам замечаний нет (проверена 21 точка, данные на 06:10)." in plain(
        RU.empty_letter(AS_OF, checked=21, earlier=0, data_as_of=at).text
    )
    assert "новых замечаний нет" in plain(RU.empty_letter(AS_OF, checked=21, earlier=2, data_as_of=at).text)
    text = RU.hold_letter(
        AS_OF, branch_name="Юг", reason="данные 1С не обновлялись с 09.06 18:40.", other_branches=True
    ).text
    assert "Список на 10.06 по филиалу «Юг» не отправлен: данные 1С не обновлялись с 09.06 18:40. По остальным" in text


def test_quality_notes_only_when_there_is_something_to_say() -> None:
    assert Quality(statuses={"on_time": 5}).notes("ru") == []
    notes = Quality(statuses={"draft": 2, "little_history": 1}, held=(HeldBranch("Север", "нет данных"),)).notes("ru")
    assert [plain(note) for note in notes] == [
        "Заказ есть, но не проведён в 1С: 2 точки. Проверьте у оператора.",
        "Мало истории, срок заказа пока не оценить: 1 точка.",
        "По филиалу «Север» список не отправлен: нет данных.",
    ]


# A client may be called anything, but "None" in a text must mean that a value is missing.
names = st.text(max_size=300).filter(lambda name: "none" not in name.lower() and "алерт" not in name.lower())
amounts = st.integers(0, 10**9).map(float)
outlets = st.builds(
    lambda name, basis, weekdays, weeks, cadence, cycles, median, at_risk, missed: outlet(
        name or "x",
        name=name,
        address=name,
        basis=basis,
        weekdays=",".join(weekdays),
        every_weeks=weeks,
        cadence_days=cadence,
        missed_cycles=cycles,
        median_amount=median,
        money_at_risk=at_risk,
        missed_due_dates=[(AS_OF - timedelta(days=7 * n)).isoformat() for n in range(missed, 0, -1)],
    ),
    names,
    st.sampled_from(["agreed", "learned"]),
    st.lists(st.sampled_from(["пн", "вт", "ср", "чт", "пт", "сб", "вс"]), max_size=7),
    st.integers(1, 52),
    st.floats(0.5, 400).map(lambda days: round(days, 2)),
    st.integers(0, 500),
    amounts,
    amounts,
    st.integers(0, 60),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(outlets, min_size=1, max_size=12), names, st.integers(0, 200), st.sampled_from([RU, EN]))
def test_whatever_the_names_and_numbers_texts_keep_their_limits(
    affected: list[dict[str, Any]], name: str, more: int, renderer: Renderer
) -> None:
    told = row(outlets=affected, client_name=name, outlets_total=len(affected) + more)
    assert 0 < len(renderer.fact(told)) <= FACT_LIMIT
    assert all(0 < len(renderer.outlet_fact(each, AS_OF)) <= FACT_LIMIT for each in told.outlets)
    assert len(renderer.task_title(told)) <= TITLE_LIMIT
    letter = renderer.list_letter([told], Contacts())
    for text in (letter.text, letter.subject, renderer.task_description(told, None)):
        assert "алерт" not in text.lower()
        assert "None" not in text
