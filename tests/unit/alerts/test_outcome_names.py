"""What reps write when they close a task, and what it means."""

from datetime import date

import pytest

from alerts.outcome_names import Answer, outcome_labels, read_answer

TODAY = date(2025, 6, 10)


@pytest.mark.parametrize(
    ("text", "outcome", "until"),
    [
        ("Заказ будет 12.06", "will_order", date(2025, 6, 12)),
        ("обещали заказ 1.7.2025, ждём", "will_order", date(2025, 7, 1)),
        ("Заказал уже", "has_ordered", None),
        ("Перезвонить 16.06.25", "call_back", date(2025, 6, 16)),
        ("Не дозвонился, перезвоню", "no_answer", None),
        ("Отказ: цена, нашли дешевле", "refused_price", None),
        ("отказ - берут у конкурента", "refused_competitor", None),
        ("Отказ: нет спроса", "refused_no_demand", None),
        ("Ремонт до 15.01", "season_or_repairs", date(2026, 1, 15)),
        ("Точка закрыта", "outlet_closed", None),
        ("Наша вина: не привезли", "our_fault", None),
        ("Ошибка в данных", "wrong_data", None),
        ("Поговорили о погоде 99.99", "other", None),
        ("Заказ будет 31.02", "will_order", None),
    ],
)
def test_words_of_a_rep(text: str, outcome: str, until: date | None) -> None:
    assert read_answer(text, TODAY) == Answer(outcome, until)


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("Теперь раз в 2 недели", 14),
        ("заказ будет раз в неделю", 7),
        ("другой ритм: раз в 10 дней", 10),
        ("берут раз в месяц", 30),
        ("every two weeks now", 14),
        ("теперь другой ритм", None),
        ("раз в 900 дней", None),
    ],
)
def test_another_rhythm_in_days(text: str, days: int | None) -> None:
    assert read_answer(text, TODAY) == Answer("cadence_changed", None, days)


@pytest.mark.parametrize("nothing", [None, "", " \n "])
def test_a_task_closed_without_a_word_says_nothing(nothing: str | None) -> None:
    assert read_answer(nothing, TODAY) is None


@pytest.mark.parametrize("language", ["ru", "en"])
def test_every_label_of_the_list_is_understood_as_itself(language: str) -> None:
    labels = outcome_labels("ru" if language == "ru" else "en")
    read = [answer.outcome for label in labels if (answer := read_answer(label, TODAY))]
    assert len(set(read)) == len(labels) == 16
    assert read[-1] == "other"
