"""Lines and paragraphs against plain Python on any text; which of them count as the same."""

import re

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakeloom.filters.textindex import TextIndex
from lakeloom.filters.units import units

TEXT = st.text(st.sampled_from("ab \n\t\r-") | st.characters(exclude_categories=["Cs"]), max_size=40)


def found(texts: list[str | None], kind: str, form: str = "bytes", least: int = 1) -> list[list[tuple[str, int]]]:
    """Of each text its units and a number for what they are equal by."""
    made = units(TextIndex.of(pa.array(texts, pa.string())), kind, form, least)
    numbers: dict[tuple[int, int], int] = {}
    rows: list[list[tuple[str, int]]] = [[] for _ in texts]
    for row, start, end, *hashes in zip(*(column.tolist() for column in made), strict=True):
        number = numbers.setdefault((hashes[0], hashes[1]), len(numbers))
        rows[row].append(((texts[row] or "").encode()[start:end].decode(), number))
    return rows


def defined(text: str, kind: str) -> list[str]:
    pattern = (
        r"[^\n]*\n|[^\n]+"
        if kind == "line"
        else r"(?s:.*?)[ \t\n\v\f\r]*\n[ \t\v\f\r]*\n(?=[ \t\v\f\r]*[^ \t\n\v\f\r])|(?s:.+)"
    )
    return re.findall(pattern, text)


@settings(deadline=None)
@given(st.lists(TEXT, max_size=4), st.sampled_from(["line", "paragraph"]), st.integers(1, 3))
def test_units_are_the_definition(texts: list[str], kind: str, least: int) -> None:
    expected = [
        [one for one in defined(text, kind) if len(re.findall(r"\w+", lowered(one))) >= least] for text in texts
    ]
    rows = found(list(texts), kind, least=least)
    assert [[unit for unit, _ in row] for row in rows] == expected
    names = {number: unit.strip(" \t\n\v\f\r") for row in rows for unit, number in row}
    assert all(names[number] == unit.strip(" \t\n\v\f\r") for row in rows for unit, number in row)
    assert len(set(names.values())) == len(names)


def lowered(text: str) -> str:
    return "".join(character.lower()[0] for character in text)


@pytest.mark.parametrize(
    ("kind", "form", "texts", "same"),
    [
        ("line", "bytes", ["one two\nONE two", "  one two \n"], [[0, 1], [0]]),
        ("line", "words", ["One, two!\none two", "two one"], [[0, 0], [1]]),
        ("paragraph", "bytes", ["a b\nc\n\nd", "d\n \t\n a b\nc"], [[0, 1], [1, 0]]),
        ("paragraph", "words", ["a b\nc\n\n\n", None, "", "!?"], [[0], [], [], []]),
        ("line", "words", ["ab c", "a bc"], [[0], [1]]),
    ],
)
def test_what_counts_as_the_same(kind: str, form: str, texts: list[str | None], same: list[list[int]]) -> None:
    assert [[number for _, number in row] for row in found(texts, kind, form)] == same
