"""Phones and names as people write them."""

import pytest

from warehouse.matching import LIKENESS_FLOOR, bare_name, bare_names, likest, phones


@pytest.mark.parametrize(
    "text",
    [
        "+7 (912) 345-67-89",
        "8 912 345-67-89",
        "89123456789",
        "79123456789",
        "9123456789",
        "тел. 8(912)345 67 89 доб. 12",
    ],
)
def test_one_phone_whatever_way_it_is_written(text: str) -> None:
    assert phones(text) == ("+79123456789",)


def test_several_phones_in_one_field_and_numbers_of_other_countries() -> None:
    assert phones("8 912 345-67-89, +375 29 123-45-67 Ольга") == ("+375291234567", "+79123456789")


@pytest.mark.parametrize("text", ["нет", "звонить Ольге", "12-34", "ИНН", ""])
def test_no_phone_is_no_phone(text: str) -> None:
    assert phones(text) == ()


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ('Общество с ограниченной ответственностью "Ёлочка"', "елочка"),
        ("ЕЛОЧКА ООО", "елочка"),
        ("ООО  «Ёлочка»", "елочка"),
        ("Индивидуальный предприниматель Алексеев С. Г.", "алексеев г с"),
        ("С.Г. Алексеев ИП", "алексеев г с"),
        ("Крестьянское (фермерское) хозяйство Луговое", "луговое"),
        ("ООО Зао-Сервис", "зао сервис"),
        ("Ипподром", "ипподром"),
        ("ООО", ""),
    ],
)
def test_a_name_without_its_legal_form(text: str, bare: str) -> None:
    assert bare_name(text) == bare


def test_a_card_named_by_sign_and_legal_entity_has_both_names() -> None:
    assert bare_names("Кафе «Уют» / Парус ООО") == ("кафе уют", "парус")
    assert bare_names("Кафе «Уют» / ИП") == ("кафе уют",)
    assert bare_names("ООО") == ()


def test_names_with_a_slip_are_found_and_strangers_are_not() -> None:
    found = list(likest(["продукты уут", "аптека"], ["продукты уют", "продукты уют 2", "столовая"]))
    assert [(mine, theirs) for mine, theirs, _ in found] == [
        ("продукты уут", "продукты уют"),
        ("продукты уут", "продукты уют 2"),
    ]
    assert all(LIKENESS_FLOOR <= score < 100 for _, _, score in found)
    assert list(likest(["аптека"], [])) == []
