"""Each reason in the words of a rep: the fact with its numbers, the money and how it is made up, what to do."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.followups import FollowUp, follow_up_from_payload
from alerts.render import FACT_LIMIT, TITLE_LIMIT, Contacts, Renderer
from tests.support.delivery import follow_up, outlet

RU, EN = Renderer("ru"), Renderer("en")


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


def finding(reason: str, money: float, **facts: Any) -> dict[str, Any]:
    about = {"outlet_id": "outlet-1", "name": "Точка 1", "format": "Магазин у дома", "address": "Ленина, 14"}
    if reason in ("overdue_debt", "signed_never_shipped", "discount_threshold"):
        about = {}
    return {
        "reason": reason,
        "subject_id": "s",
        "rule_version": 1,
        "baseline": "x",
        "confidence": "ok",
        "is_blocking": False,
        "money_at_risk": money,
        **about,
        **facts,
    }


def row(*findings: dict[str, Any], outlets: list[dict[str, Any]] | None = None, **changes: Any) -> FollowUp:
    """A row with these findings, the first being the main reason; `outlets`: those without an order."""
    built = follow_up(1, outlets=outlets or [outlet(1)])
    silent = outlets or []
    reasons = [one["reason"] for one in findings] + (["missed_order"] if silent else [])
    money = sum(Decimal(str(one["money_at_risk"])) for one in [*findings, *silent])
    built |= {
        "reasons": list(dict.fromkeys(reasons)),
        "rule_id": reasons[0],
        "outlets_total": 1,
        "money_at_risk": money,
        **changes,
    }
    built["evidence"] = {**built["evidence"], "outlets": silent, "findings": list(findings)}
    return follow_up_from_payload(json.dumps(built, default=str))


LAPSED = finding(
    "lapsed", 252000.0, basis="learned", cadence_days=10, weekdays=None, every_weeks=None,
    last_ordered_on="2025-04-11", days_since_last=60, missed_cycles=6, median_amount=84000.0,
)  # fmt: skip
DEBT = finding(
    "overdue_debt", 126300.0, is_blocking=True, legal_entity_name="ООО «Торг-Сервис»", inn="7701234567",
    overdue=126300.0, oldest_days=25, stops_on="2025-06-15",
    terms=[
        {"due_on": "2025-06-05", "days": 5, "amount": 41300.0, "document_number": "УТ-1290"},
        {"due_on": "2025-05-16", "days": 25, "amount": 85000, "document_number": "УТ-1187", "arisen_on": "2025-05-02"},
    ],
)  # fmt: skip
MISSING = finding(
    "missing_assortment", 2524.0, order_dates=["2025-06-02", "2025-06-09"], orders_running=2, expected_positions=10,
    taken_positions=8, order_amount=1262.0, orders_counted=2,
    positions=[
        {"name": "кефир 1 % 0,9 л", "usual_quantity": 6, "on_hand_quantity": 120},
        {"name": "сметана 20 % 300 г", "usual_quantity": 10, "on_hand_quantity": 80},
    ],
)  # fmt: skip
REDUCED = finding(
    "reduced_quantity", 2085.0, ordered_on="2025-06-09", ordered_amount=9415.0, expected_amount=11500.0,
    shortfall_amount=2085.0, orders_counted=1,
    positions=[
        {"name": "Сливки 33 %", "ordered_quantity": 4, "usual_quantity": 10},
        {"name": "масло 82,5 %", "ordered_quantity": 5, "usual_quantity": 10},
    ],
)  # fmt: skip
NO_NEW = finding(
    "no_new_positions", 7200.0, last_new_on="2025-03-03", days_without_new=99, positions=17, standard_positions=20,
    candidates=[
        {"name": "йогурт греческий 140 г", "peers_holding": 14, "peers_total": 20, "on_hand_quantity": 5},
        {"name": "творог 5 % 200 г", "peers_holding": 12, "peers_total": 20, "on_hand_quantity": 9},
        {"name": "сыр 45 % нарезка", "peers_holding": 11, "peers_total": 20, "on_hand_quantity": 7},
    ],
)  # fmt: skip
SECOND = finding(
    "second_order", 6449.0, last_ordered_on="2025-05-30", last_amount=6449.0, days_since_last=11, usual_days=7,
    due_on="2025-06-06",
)  # fmt: skip
SIGNED = finding(
    "signed_never_shipped",
    9000.0,
    signed_on="2025-05-02",
    contract_number="1/7",
    days_since_signed=39,
    usual_amount=9000.0,
)
DUE = finding(
    "pre_due_reminder", 0, basis="agreed", cadence_days=7, weekdays="ср", every_weeks=1, due_on="2025-06-11",
    last_ordered_on="2025-06-04", median_amount=18400.0, cut_off_time="14:00",
)  # fmt: skip
DISCOUNT = finding(
    "discount_threshold", 0, next_percent=15, to_next_amount=84000, quarter_amount=916000, quarter_end="2025-06-30",
    days_left=20,
)  # fmt: skip


@pytest.mark.parametrize(
    ("told", "fact", "money", "ask"),
    [
        (
            LAPSED,
            "Заказывал раз в 10 дней, последний заказ 11.04 — 60 дней, пропущено 6 заказов. Обычный заказ 84 000 ₽.",
            "252 000 ₽ (3 × 84 000 ₽)",
            "Звонок руководителя отдела: узнайте, у кого берут сейчас, и предложите вернуться.",
        ),
        (
            DEBT,
            "Просрочено 126 300 ₽: 41 300 ₽ — 5 дней, 85 000 ₽ — 25 дней (УТ-1187 от 02.05, срок 16.05). "
            "Стоп-отгрузка через 5 дней, 15.06.",
            "126 300 ₽",
            "Согласуйте дату оплаты и запишите обещание. Заказ на 11.06 принимайте после ответа бухгалтерии.",
        ),
        (
            NO_NEW,
            "Новых позиций нет 99 дней (последняя 03.03). В точке 17 из 20 по стандарту формата.",
            "7 200 ₽ в месяц",
            "Предложите 3 позиции: йогурт греческий 140 г (берут 14 из 20 похожих точек), творог 5 % 200 г (12 из 20), "
            "сыр 45 % нарезка (11 из 20). Всё есть на складе.",
        ),
        (
            MISSING,
            "Второй заказ подряд (02.06, 09.06) 8 позиций из 10. Нет: кефир 1 % 0,9 л (обычно 6 шт.), "
            "сметана 20 % 300 г (10 шт.). На складе есть.",
            "2 524 ₽ (2 × 1 262 ₽)",
            "Спросите, почему не берут, проверьте остаток на полке и добавьте в следующий заказ.",
        ),
        (
            REDUCED,
            "Заказ 09.06 — 9 415 ₽, обычно 11 500 ₽ (−18 %). Сливки 33 % — 4 вместо 10, масло 82,5 % — 5 вместо 10.",
            "2 085 ₽",
            "Узнайте причину: остатки, цена, спрос? Договоритесь об обычном количестве в следующем заказе.",
        ),
        (
            SECOND,
            "Первый заказ 30.05 на 6 449 ₽, прошло 11 дней, второго нет. Такие точки обычно повторяют через 7 дней.",
            "6 449 ₽",
            "Узнайте, всё ли понравилось и как продаётся, предложите второй заказ.",
        ),
        (
            SIGNED,
            "Договор № 1/7 подписан 02.05, прошло 39 дней, заказов не было.",
            "9 000 ₽",
            "Узнайте, что мешает первому заказу, и предложите начальный набор: похожие точки заказывают на 9 000 ₽.",
        ),
        (
            DUE,
            "Ждём заказ 11.06, ср: договор, раз в неделю, по средам. Последний заказ 04.06, обычный — 18 400 ₽.",
            "нет",
            "Напомните о заказе, приём до 14:00: могли забыть.",
        ),
        (
            DISCOUNT,
            "До скидки 15 % не хватает 84 000 ₽: закуплено на 916 000 ₽, квартал до 30.06, осталось 20 дней.",
            "нет",
            "Расскажите о скидке и предложите добрать заказ в этом квартале.",
        ),
    ],
    ids=lambda value: value["reason"] if isinstance(value, dict) else "",
)
def test_a_reason_is_a_fact_an_amount_and_a_request(told: dict[str, Any], fact: str, money: str, ask: str) -> None:
    one = row(told)
    assert plain(RU.fact(one)) == fact
    assert plain(RU.money_line(one)) == money
    assert plain(RU.ask(one)) == ask
    assert len(RU.fact(one)) <= FACT_LIMIT
    assert len(EN.fact(one)) <= FACT_LIMIT
    assert not set("абвгдеёжзийклмнопрстуфхцчшщъыьэюя") & set(plain(EN.task_title(one)).lower().split(":")[0])


def test_the_client_of_a_debt_is_its_legal_entity() -> None:
    assert plain(RU.place(row(DEBT, outlets_total=3))) == "ООО «Торг-Сервис», ИНН 7701234567, 3 точки"


def test_many_overdue_documents_are_told_by_the_oldest() -> None:
    terms = [
        {"due_on": f"2025-05-{day}", "days": 41 - day, "amount": 1000.0, "documents_total": 2} for day in (28, 20, 12)
    ]
    told = row({**DEBT, "overdue": 3000.0, "money_at_risk": 3000.0, "is_blocking": False, "terms": terms})
    assert plain(RU.fact(told)) == "Просрочено 3 000 ₽, старший долг 1 000 ₽ — 29 дней (срок 12.05)."
    stopped = row({**DEBT, "stops_on": "2025-06-01"})
    assert plain(RU.fact(stopped)).endswith("По договору отгрузка остановлена с 01.06.")


def test_debt_first_then_the_order_in_one_conversation() -> None:
    both = row(DEBT, outlets=[outlet(1)])
    assert plain(RU.task_title(both)) == (
        "Просрочен долг; нет заказа вовремя: «ИП Петрова, магазин 1», под риском 163 100 ₽"
    )
    assert RU.fact(both).startswith("Просрочено")
    assert plain(RU.ask(both)).endswith("Затем спросите, почему нет заказа, и предложите обычный.")
    description = plain(RU.task_description(both, None))
    assert "Последний заказ 26.05, пропущены 02.06 и 09.06." in description
    assert "ИНН 7701234567" in description
    assert "Под риском: 163 100 ₽ (долг 126 300 ₽, заказы 36 800 ₽)" in description


def test_the_money_of_several_reasons_adds_up_in_whole_roubles_or_is_not_told() -> None:
    pennies = {**DEBT, "money_at_risk": 1000.5}
    orders = [outlet(1, money_at_risk=200.5)]
    assert plain(RU.money_line(row(pennies, outlets=orders))) == "1 201 ₽ (долг 1 001 ₽, заказы 200 ₽)"
    counted_once = FollowUp(**{**row(pennies, outlets=orders).__dict__, "money_at_risk": Decimal(1100)})
    assert plain(RU.money_line(counted_once)) == "1 100 ₽"


def test_the_money_of_new_positions_is_a_month_s_in_the_letter_too() -> None:
    letter = RU.list_letter([row(NO_NEW)], Contacts())
    assert ">в месяц<" in letter.html
    assert "в месяц" in plain(letter.text)


def test_outlets_of_one_client_are_rolled_up() -> None:
    second = {**REDUCED, "outlet_id": "outlet-2", "name": "Точка 2"}
    told = row(REDUCED, second, outlets_total=7)
    assert plain(RU.fact(told)) == "Взяли меньше обычного в 2 из 7 точек: Точка 1; Точка 2."
    assert plain(RU.task_title(told)).startswith("Взяли меньше обычного в 2 из 7 точек: ")
    lines = RU.outlet_lines(told, 4)
    assert [line.split(":")[0] for line in lines] == ["Точка 1", "Точка 2"]
    assert RU.outlet_lines(told, 1)[-1] == "и ещё 1"


def test_who_stands_in_and_who_hears_of_silence() -> None:
    built = row(LAPSED)
    stands_in = FollowUp(**{**built.__dict__, "stands_in_for": "Иванов Пётр"})
    assert RU.ask(stands_in).endswith("Клиент менеджера Иванов Пётр: вы его замещаете.")
    escalated = FollowUp(**{**built.__dict__, "escalated_from": "Иванов Пётр", "unanswered_since": built.as_of})
    assert RU.ask(escalated).endswith("Менеджер: Иванов Пётр, с 10.06 без ответа. Решите, кто звонит.")


def test_arithmetic_is_silent_when_roubles_do_not_add_up() -> None:
    assert RU.arithmetic(row({**MISSING, "money_at_risk": 2500.0})) is None
    assert RU.arithmetic(row({**MISSING, "orders_counted": 1.5, "money_at_risk": 1893.0})) is None


names = st.text(max_size=200).filter(lambda name: "none" not in name.lower())


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(names, st.integers(0, 10**6), st.integers(0, 10**6)), max_size=12),
    names,
    st.sampled_from([RU, EN]),
    st.integers(1, 40),
)
def test_whatever_the_names_texts_keep_their_limits(
    listed: list[tuple[str, int, int]], name: str, renderer: Renderer, total: int
) -> None:
    positions = [
        {"name": title, "usual_quantity": a, "ordered_quantity": b, "on_hand_quantity": a} for title, a, b in listed
    ]
    for told in (
        {**MISSING, "name": name, "positions": positions},
        {**REDUCED, "name": name, "positions": positions},
        {**DEBT, "legal_entity_name": name},
        {**LAPSED, "name": name},
    ):
        one = row(told, client_name=name, outlets_total=total)
        assert 0 < len(renderer.fact(one)) <= FACT_LIMIT
        assert len(renderer.task_title(one)) <= TITLE_LIMIT
        letter = renderer.list_letter([one], Contacts())
        for text in (letter.text, letter.subject, renderer.task_description(one, None)):
            assert "None" not in text
