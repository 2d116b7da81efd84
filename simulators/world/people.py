"""Names, tax numbers, phones and addresses of people who do not exist."""

import re
from random import Random

from simulators.world.names import INITIALS, STREETS, SURNAMES


def company_inn(rng: Random, office: str) -> str:
    """A ten-digit ИНН with a valid check digit; `office` is the four-digit tax office."""
    digits = office + f"{rng.randrange(10**5):05d}"
    return digits + _check(digits, (2, 4, 10, 3, 5, 9, 4, 6, 8))


def person_inn(rng: Random, office: str) -> str:
    """A twelve-digit ИНН with valid check digits; `office` is the four-digit tax office."""
    digits = office + f"{rng.randrange(10**6):06d}"
    digits += _check(digits, (7, 2, 4, 10, 3, 5, 9, 4, 6, 8))
    return digits + _check(digits, (3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8))


def _check(digits: str, weights: tuple[int, ...]) -> str:
    return str(sum(int(d) * w for d, w in zip(digits, weights, strict=True)) % 11 % 10)


def sole_trader(rng: Random) -> str:
    """`Смирнова А. В.`"""
    surname = rng.choice(SURNAMES) + rng.choice(["", "а"])
    if surname.endswith("яна"):  # Оганесян does not decline
        surname = surname[:-1]
    return f"{surname} {rng.choice(INITIALS)}. {rng.choice(INITIALS)}."


def phone(rng: Random) -> str:
    """A number of the 000 range, which is never given to anybody."""
    return f"+7 (900) 000-{rng.randrange(100):02d}-{rng.randrange(100):02d}"


def phone_digits(number: str) -> str:
    """Digits only, as 1C keeps them beside the presentation."""
    return re.sub(r"\D", "", number)


def address(rng: Random, city: str) -> str:
    """`610000, Киров г, ул. Ленина, дом 14`"""
    house = f"{rng.randrange(1, 180)}{rng.choice(['', '', '', 'А', '/2', ' корп. 1'])}"
    return f"{rng.randrange(390000, 620000)}, {city} г, {rng.choice(STREETS)}, дом {house}"
