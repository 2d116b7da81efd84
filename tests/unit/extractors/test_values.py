"""One value at a time: what becomes null, what is cleaned, what is refused, which moment a local time is."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extractors.core import values
from extractors.core.values import NULL, BadValue


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        (None, NULL),
        ("", NULL),
        ("   ", NULL),
        ("1                   ", b"1"),
        ("Ромашка", "Ромашка".encode()),
        ("a\tb\nc\rd\\e", b"a\\tb\\nc\\rd\\\\e"),
        ("nul\x00inside", b"nulinside"),
        ("\x00", NULL),
        ("cut \ud83d emoji", "cut \ufffd emoji".encode()),
        ("\\N", b"\\\\N"),
    ],
)
def test_text(given_text: str | None, expected: bytes) -> None:
    assert values.text(given_text) == expected


def test_text_without_end_is_refused() -> None:
    with pytest.raises(BadValue, match="longer than"):
        values.text("x" * (values.MAX_TEXT + 1))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"12", b"12"),
        (b"-0.10", b"-0.10"),
        (b"12345678901234567890.12", b"12345678901234567890.12"),
        (b"1.5E+3", b"1500"),
        (b"1e-3", b"0.001"),
        (b'"10.50"', b"10.50"),
        (b'""', NULL),
        (b"null", NULL),
    ],
)
def test_number_keeps_its_digits(raw: bytes, expected: bytes) -> None:
    assert values.number(raw) == expected


@pytest.mark.parametrize("raw", [b"1e999", b'"abc"', b"true", b"NaN", b'"Infinity"', b"[1]", b"1" * 200])
def test_number_out_of_range_or_none_at_all(raw: bytes) -> None:
    with pytest.raises(BadValue):
        values.number(raw)


@pytest.mark.parametrize(("value", "expected"), [("10", b"10"), (10, b"10"), (" 7", b"7"), ("", NULL), (None, NULL)])
def test_integer_also_as_string(value: str | int | None, expected: bytes) -> None:
    assert values.integer(value) == expected


@pytest.mark.parametrize("value", ["9223372036854775808", 1 << 63, "1_0", "1.0", "x"])
def test_integer_refused(value: str | int) -> None:
    with pytest.raises(BadValue):
        values.integer(value)


def test_empty_guid_and_empty_date_are_null() -> None:
    assert values.reference(values.EMPTY_GUID) == NULL
    assert values.calendar_day("0001-01-01T00:00:00") == NULL
    assert values.moment_in(ZoneInfo("Europe/Moscow"))("0001-01-01T00:00:00") == NULL


@pytest.mark.parametrize("value", ["2026-02-30T00:00:00", "2026-13-01T00:00:00", "yesterday", "20260101"])
def test_dates_that_do_not_exist(value: str) -> None:
    with pytest.raises(BadValue):
        values.calendar_day(value)
    with pytest.raises(BadValue):
        values.moment_in(ZoneInfo("Europe/Moscow"))(value)


@pytest.mark.parametrize(
    ("zone", "local", "utc"),
    [
        ("Europe/Moscow", "2026-03-01T10:00:00", "2026-03-01 07:00:00.000000+00:00"),
        ("Asia/Yekaterinburg", "2026-03-01T02:00:00", "2026-02-28 21:00:00.000000+00:00"),
        # Moscow left permanent summer time in 2014: before it was UTC+4.
        ("Europe/Moscow", "2013-01-01T00:00:00", "2012-12-31 20:00:00.000000+00:00"),
        # The clocks went back: 01:30 came twice, the first one counts.
        ("Europe/Moscow", "2014-10-26T01:30:00", "2014-10-25 21:30:00.000000+00:00"),
        ("Europe/Berlin", "2026-10-25T02:30:00", "2026-10-25 00:30:00.000000+00:00"),
        # The clocks went forward: 02:30 was skipped, the offset before the change counts.
        ("Europe/Berlin", "2026-03-29T02:30:00", "2026-03-29 01:30:00.000000+00:00"),
        ("Europe/Moscow", "3999-12-31T23:59:59", "3999-12-31 20:59:59.000000+00:00"),
    ],
)
def test_local_time_becomes_one_moment(zone: str, local: str, utc: str) -> None:
    assert values.moment_in(ZoneInfo(zone))(local) == utc.encode()


@given(st.datetimes(min_value=datetime(1980, 1, 1), max_value=datetime(2100, 1, 1)))  # noqa: DTZ001
def test_moments_sort_as_text_like_they_do_in_time(local: datetime) -> None:
    convert = values.moment_in(ZoneInfo("Europe/Moscow"))
    text = convert(local.replace(microsecond=0).isoformat())
    earlier = convert("1979-06-01T00:00:00")
    assert earlier < text
    assert len(text) == len(earlier)


def test_remembered_values_do_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "_CACHE_SIZE", 10)
    cache = values.Converted(values.text)
    for number in range(100):
        assert cache[str(number)] == str(number).encode()
    assert len(cache) <= 10
    cache["long" * 100]
    assert "long" * 100 not in cache
