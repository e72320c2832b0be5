"""Personal data: what counts, what only looks like it, and that the masks cover all that was counted."""

import time
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeloom.filters.personal import KINDS, Kind, mask_personal_data, num_personal_data, personal_data
from lakeloom.filters.recipe import Recipe
from lakeloom.filters.textindex import TextIndex
from lakeloom.lakehouse.errors import ConfigError

# Numbers that their issuers publish as examples, and addresses of well-known services.
FOUND: list[tuple[Kind, str]] = [
    ("email", "jane.doe+news@mail.example.com"),
    ("email", "x_1%y@sub-domain.example.co.uk"),
    ("email", "JANE@EXAMPLE.ORG"),
    ("iban", "GB82 WEST 1234 5698 7654 32"),
    ("iban", "DE89370400440532013000"),
    ("iban", "NO93 8601 1117 947"),
    ("card", "4111 1111 1111 1111"),
    ("card", "5555-5555-5555-4444"),
    ("card", "378282246310005"),
    ("card", "2223003122003222"),
    ("ip", "8.8.8.8"),
    ("ip", "2001:4860:4860::8888"),
    ("phone", "+1 650-253-0000"),
    ("phone", "+49 30 303986300"),
    ("phone", "+44 (0)20 7031 3000"),
]
NOT_FOUND: list[tuple[Kind, str]] = [
    ("email", "icon@2x.png"),
    ("email", "jane@localhost"),
    ("email", "@jane.example.com"),
    ("email", "jane..doe@example.com"),
    ("email", ".@example.com"),
    ("email", "jane@-example.com"),
    ("email", "jane at example.com"),
    ("iban", "GB83 WEST 1234 5698 7654 32"),
    ("iban", "DE8937040044053201300"),
    ("iban", "XX89370400440532013000"),
    ("iban", "xDE89370400440532013000"),
    ("iban", "DE89370400440532013000x"),
    ("card", "4111 1111 1111 1112"),
    ("card", "1234 5678 9012 3452"),
    ("card", "0000 0000 0000 0000"),
    ("card", "a4111111111111111"),
    ("card", "4111111111111111.5"),
    ("card", "41111111111111110000000"),
    ("ip", "192.168.1.1"),
    ("ip", "127.0.0.1"),
    ("ip", "10.1.2.3"),
    ("ip", "256.8.8.8"),
    ("ip", "8.8.8"),
    ("ip", "v8.8.8.8"),
    ("ip", "8.8.8.8.8"),
    ("ip", "08.8.8.8"),
    ("ip", "12:30:45"),
    ("ip", "a::b"),
    ("ip", "std::dead::beef"),
    ("ip", "fe80::1"),
    ("ip", "2001:db8::1"),
    ("ip", "::1"),
    ("phone", "+1 555"),
    ("phone", "650-253-0000"),
    ("phone", "2020-01-01 10:00:00"),
    ("phone", "1 + 650253000012345678"),
]


def counted(text: str | None, *, kinds: tuple[Kind, ...] = KINDS) -> float | None:
    (value,) = num_personal_data(TextIndex.of(pa.array([text], pa.string())), kinds=kinds).to_pylist()
    return None if value is None else float(value)


def masked(text: str | None, *, kinds: tuple[Kind, ...] = KINDS, region: str = "") -> str | None:
    index = TextIndex.of(pa.array([text], pa.string()))
    (value,) = mask_personal_data(index, kinds=kinds, region=region).to_pylist()
    return None if value is None else str(value)


@pytest.mark.parametrize(("kind", "text"), FOUND)
@pytest.mark.parametrize("around", ["{}", "write to {}, please", "({})", "see: {}.\nThanks"])
def test_found_whatever_stands_around_it(kind: Kind, text: str, around: str) -> None:
    before = around.index("{")
    assert personal_data(around.format(text)) == [(before, before + len(text), kind)]


@pytest.mark.parametrize(("kind", "text"), NOT_FOUND)
def test_what_only_looks_like_it(kind: Kind, text: str) -> None:
    assert personal_data(f"so {text} it is", (kind,)) == []


def test_words_in_capitals_after_an_iban_are_not_of_it() -> None:
    assert masked("IBAN DE89 3704 0044 0532 0130 00 BIC COBADEFF") == "IBAN <IBAN_CODE> BIC COBADEFF"


def test_national_phone_numbers_need_the_region() -> None:
    assert masked("call 650-253-0000 now", region="US") == "call <PHONE_NUMBER> now"
    with pytest.raises(ConfigError, match=r"step 0 .*no region of phone numbers 'UK'"):
        Recipe.from_config({"name": "mine", "steps": [{"edit": "mask_personal_data", "region": "UK"}]})


def test_only_the_kinds_that_were_asked_for() -> None:
    text = "jane@example.com or 8.8.8.8"
    assert (counted(text), counted(text, kinds=("ip",))) == (2, 1)
    assert masked(text, kinds=("email",)) == "<EMAIL_ADDRESS> or 8.8.8.8"
    with pytest.raises(ConfigError, match="kinds of signal 'num_personal_data'"):
        Recipe.from_config({"name": "mine", "steps": [{"signal": "num_personal_data", "kinds": ["mail"], "max": 0}]})


def test_a_null_text_stays_null() -> None:
    assert masked(None) is None
    assert counted(None) is None


pieces = st.sampled_from([text for _, text in FOUND + NOT_FOUND] + [" ", "\n", "; ", "é", "(", ")"])


@given(parts=st.lists(pieces, max_size=8))
def test_masks_are_as_many_as_counted_and_the_rest_is_untouched(parts: list[str]) -> None:
    text = "".join(parts)
    spans = personal_data(text)
    assert counted(text) == len(spans)
    assert all(left.end <= right.start for left, right in pairwise(spans))
    names = ("<EMAIL_ADDRESS>", "<IBAN_CODE>", "<CREDIT_CARD>", "<IP_ADDRESS>", "<PHONE_NUMBER>")
    result = masked(text)
    assert result is not None
    assert sum(result.count(name) for name in names) == len(spans)
    for name in names:
        result = result.replace(name, "\0")
    ends, starts = [0, *(span.end for span in spans)], [*(span.start for span in spans), len(text)]
    assert result.split("\0") == [text[end:start] for end, start in zip(ends, starts, strict=True)]


@given(text=st.text())
def test_text_without_digits_and_at_signs_has_none(text: str) -> None:
    text = "".join(letter for letter in text if not letter.isnumeric() and letter not in "@:")
    assert personal_data(text, KINDS, "US") == []
    assert masked(text.encode("utf-8", "ignore").decode()) == text.encode("utf-8", "ignore").decode()


@pytest.mark.parametrize(
    "text",
    [
        "a" * 1_000_000,
        "1" * 1_000_000,
        "1 " * 500_000,
        "1." * 500_000,
        "a@" * 500_000,
        "a." * 500_000 + "@",
        ":" * 1_000_000,
        "A1" * 500_000,
        "+" * 1_000_000,
    ],
    ids=lambda text: text[:2],
)
def test_a_million_bytes_of_one_thing_end_soon(text: str) -> None:
    started = time.process_time()
    personal_data(text, KINDS, "US")
    assert time.process_time() - started < 10  # a second on a quiet machine
