"""Edits of whole texts, repeated pieces, citations: a table each, of text before and after."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeloom.filters import citations, repeats, wholetext
from lakeloom.filters.textindex import TextIndex


def index(text: str | None) -> TextIndex:
    return TextIndex.of(pa.array([text], pa.string()))


@pytest.mark.parametrize(
    ("options", "text", "expected"),
    [
        ({}, "a\n A \n\n\nb\na", "a\n\n\nb"),
        ({"normalize": False}, "a\nA\n \n \na", "a\nA\n "),
        ({"granularity": "paragraph"}, "a\nb\n\nA\nB\n\nc", "a\nb\n\nc"),
        ({}, "", ""),
        ({}, None, None),
    ],
)
def test_drop_repeated_pieces(options: dict[str, object], text: str | None, expected: str | None) -> None:
    assert repeats.drop_repeated_pieces(index(text), **options).to_pylist() == [expected]  # type: ignore[arg-type]


@given(st.lists(st.sampled_from(["a", "b", "", " "]), max_size=8))
def test_a_second_pass_finds_nothing(pieces: list[str]) -> None:
    once = repeats.drop_repeated_pieces(index("\n".join(pieces)), normalize=False)
    assert repeats.drop_repeated_pieces(TextIndex.of(once), normalize=False).to_pylist() == once.to_pylist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a[1] b[edit] c[citation needed][]", "a b c"), ("[Edit] [a]", "[Edit] [a]"), ("[1]", ""), (None, None)],
)
def test_remove_citations(text: str | None, expected: str | None) -> None:
    assert citations.remove_citations(index(text)).to_pylist() == [expected]


def test_strings_are_replaced_from_the_left() -> None:
    texts = pa.array(["a\n\n\nb", "", None])
    assert wholetext.replace_string(texts, old="\n\n", new="|").to_pylist() == ["a|\nb", "", None]


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<html><body><p>One.</p><p>Two <b>words</b></p><div>menu</div></body></html>", "One.\n\nTwo words\n\nmenu"),
        ("<html><body></body></html>", ""),
        ("", ""),
        (None, None),
    ],
)
def test_extract_paragraphs(html: str | None, expected: str | None) -> None:
    assert wholetext.extract_paragraphs(index(html)).to_pylist() == [expected]
