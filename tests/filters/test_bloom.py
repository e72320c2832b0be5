"""Spans are those of plain Python with a set for a filter, in every mode; the filter's rate and size are BFF's."""

from math import ceil, log

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lakeloom.filters.bloom import Bloom, BloomParams
from lakeloom.filters.bloombits import contains
from lakeloom.filters.bloomkernel import MODES
from lakeloom.filters.spans import cut
from lakeloom.filters.tokens import hash_bytes
from lakeloom.lakehouse.errors import ConfigError
from tests.filters.bff import Bff, Verdict, verdicts

# What is awkward about white space, newlines and segments; and passages, so that long parts of texts come again.
PIECES = (
    *("a ", "b ", "a", "b", "c.", "don't ", "3.14 ", "\n", "\n\n", "\r\n", " ", "\u3000", "\x1c", "\x85", "\u2028"),
    *("\xe9", "\u65e5\u672c", "\u0301", "\u200d", "\U0001f1e6\U0001f1e7", "\U0001f600", "a b a b", "b a\na b\n"),
)
PASSAGES = ("a b c ", "d e f g ", "h ", "i j ", "k l\n", "\n", "m n o p\n")
TEXTS = (
    st.lists(st.sampled_from(PIECES), max_size=20).map("".join)
    | st.lists(st.sampled_from(PASSAGES), min_size=4, max_size=12).map("".join)
    | st.text(st.characters(codec="utf-8"), max_size=8)
)
DOCUMENTS = st.lists(st.none() | TEXTS, max_size=6)
MANY_BYTES = 10_000_000


def params(mode: str) -> st.SearchStrategy[BloomParams]:
    """Short n-grams; a rate at which no n-gram of these tests is taken for another."""
    sizes, thresholds = st.tuples(st.integers(1, 4), st.integers(1, 4)), st.sampled_from([0.0, 0.3, 0.5, 0.8, 1.0])
    return st.builds(
        lambda both, threshold, length: BloomParams(1000, 1e-12, min(both), max(both), threshold, mode, length),
        *(sizes, thresholds, st.integers(1, 6)),
    )


def found(documents: list[str | None], chosen: BloomParams) -> list[Verdict]:
    return verdicts(Bloom(chosen, max_bytes=MANY_BYTES).apply(pa.array(documents, pa.string())))


@pytest.mark.parametrize("mode", MODES)
@given(data=st.data())
@settings(max_examples=400)
def test_spans_are_those_of_plain_python(mode: str, data: st.DataObject) -> None:
    documents, chosen = data.draw(DOCUMENTS), data.draw(params(mode))
    bff = Bff(chosen)
    assert found(documents, chosen) == [bff.remove(document or "") for document in documents]


@pytest.mark.parametrize("mode", MODES)
@given(data=st.data())
@settings(max_examples=50)
def test_batches_change_nothing(mode: str, data: st.DataObject) -> None:
    documents, chosen = data.draw(DOCUMENTS), data.draw(params(mode))
    first = data.draw(st.integers(0, len(documents)))
    whole = pa.array(documents, pa.string())
    bloom = Bloom(chosen, max_bytes=MANY_BYTES)
    batches = whole.slice(0, first), whole.slice(first).cast(pa.large_string())
    assert [row for batch in batches for row in verdicts(bloom.apply(batch))] == found(documents, chosen)


WORDS = "one two three four five"
# Passages of 4, 4 and 12 words; nine words between the first two are too many without the third.
FEW, SOME, MANY, GAP = "a b c d", "e f g h", "i j k l m n o p q r s t", "1 2 3 4 5 6 7 8 9"


@pytest.mark.parametrize(
    ("mode", "documents", "left"),
    [
        ("paragraph", ["a b", "a b"], ["a b", "a b"]),  # fewer tokens than min: kept, not learned
        ("paragraph", ["a b c", "a b c"], ["a b c", ""]),  # up to max: one n-gram of all
        ("paragraph", ["a b c", "a b c d"], ["a b c", "a b c d"]),
        ("paragraph", [f"{WORDS}\nx y z"] * 2, [f"{WORDS}\nx y z", ""]),
        ("paragraph", [WORDS, f"{WORDS}\nx y z"], [WORDS, "\nx y z"]),  # the newline belongs to what stays
        ("paragraph", [f"{WORDS}\n\n{WORDS}\n"], [f"{WORDS}\n\n"]),  # within a page, too
        (
            "paragraph",
            [WORDS, "One two three four five"],
            [WORDS, "One two three four five"],
        ),  # 1 of 2 is not above 0.5
        ("document", [f"{WORDS}\n{WORDS}"], [f"{WORDS}\n{WORDS}"]),
        ("document", [WORDS, f"{WORDS} six"], [WORDS, ""]),
        ("old-both", [WORDS, f"{WORDS}\nx y z"], [WORDS, ""]),  # 2 of 3
        ("old-both", [WORDS, f"{WORDS}\nx y z\nu v w"], [WORDS, "\nx y z\nu v w"]),  # 2 of 4
        ("old-both", ["x y z", WORDS, f"{WORDS}\nx y q", "x y q"], ["x y z", WORDS, "", ""]),  # learned, then dropped
        ("both", [WORDS, f"{WORDS}\nx y z u v w "], [WORDS, "\nx y z u v w"]),  # right-trimmed
        ("both", ["one two three four", WORDS], ["one two three four", ""]),  # 1 of 2 is enough
        ("both", ["a b ", "a b "], ["a b ", "a b "]),  # no n-gram, not trimmed
        ("substring", [WORDS, f" x y {WORDS} z \n"], [WORDS, "x y z"]),
        ("substring", [WORDS, "x y one two three four z"], [WORDS, "x y one two three four z"]),  # shorter than 5
        ("substring", [f"{WORDS} "] * 2, [WORDS, ""]),
        ("substring", [FEW, SOME, MANY, f"{FEW} {GAP} {SOME} 0 {MANY} end"], [FEW, SOME, MANY, "end"]),
        ("substring", [FEW, SOME, MANY, f"{MANY} 0 {SOME} {GAP} {FEW} end"], [FEW, SOME, MANY, "end"]),
        ("substring", [FEW, SOME, f"{FEW} {GAP} {SOME} end"], [FEW, SOME, f"{FEW} {GAP} {SOME} end"]),
        ("exact", [WORDS, WORDS, f"{WORDS} ", "", ""], [WORDS, "", f"{WORDS} ", "", ""]),
    ],
)
def test_case_by_case(mode: str, documents: list[str], left: list[str]) -> None:
    bloom = Bloom(BloomParams(1000, 1e-12, 3, 4, 0.5, mode, substring_length=5), max_bytes=MANY_BYTES)
    text = pa.array(documents, pa.string())
    removed = bloom.apply(text)
    assert cut(text, removed.starts, removed.ends).to_pylist() == left
    assert removed.is_emptied.to_pylist() == [bool(old) and not new for old, new in zip(documents, left, strict=True)]


def test_a_text_of_which_white_space_stays_is_emptied() -> None:
    documents = [f"{WORDS}\n", f"{WORDS}\n", "\n", None]
    assert found(documents, BloomParams(1000, 1e-12, 3, 4, 0.5)) == [
        Verdict([], False, 2, 0),
        Verdict([(0, 23)], True, 2, 2),
        Verdict([], False, 0, 0),
        Verdict([], False, 0, 0),
    ]


def best_rate(num_bytes: int, num_ngrams: int) -> float:
    num_bits = 8 * num_bytes
    num_hashers = ceil(num_bits / num_ngrams * log(2))
    return float((1 - (1 - 1 / num_bits) ** (num_hashers * num_ngrams)) ** num_hashers)


@given(st.integers(1, 300), st.floats(1e-4, 0.99))
@example(100, 0.0079)  # sizes just above the first that does are too small again: one more bit is set
@example(1, 0.5)
def test_size_is_the_smallest(num_ngrams: int, fp_rate: float) -> None:
    smallest = next(size for size in range(1, 10_000) if best_rate(size, num_ngrams) <= fp_rate)
    chosen = BloomParams(num_ngrams, fp_rate)
    assert chosen.num_bytes == smallest
    assert smallest <= Bloom(chosen, max_bytes=MANY_BYTES)._filter.bits.nbytes < smallest + 4


def test_size_of_a_large_filter() -> None:
    large = BloomParams(10**12, 0.01)
    assert large.num_hashers == 7
    assert large.num_bytes == pytest.approx(1.1991e12, rel=1e-4)


@pytest.mark.parametrize(("num_texts", "fp_rate"), [(1_000, 0.1), (20_000, 0.01), (50_000, 0.001)])
def test_measured_rate_of_a_full_filter(num_texts: int, fp_rate: float) -> None:
    bloom = Bloom(BloomParams(num_texts, fp_rate, mode="exact"), max_bytes=MANY_BYTES)
    text = pa.array([f"text {number}" for number in range(num_texts)])
    bloom.apply(text)
    others = [np.frombuffer(b"other %d" % number, np.uint8) for number in range(100_000)]
    hashes = np.array([hash_bytes(data, 0, len(data)) for data in others], np.uint64)
    bits, num_hashers, _ = bloom._filter
    measured = np.mean([contains(bits, num_hashers, hashed) for hashed in hashes])
    assert measured <= 1.3 * fp_rate
    assert bloom.fp_rate == pytest.approx(measured, rel=0.3)
    assert 0.9 * num_texts < bloom.num_inserted <= num_texts
    assert bloom.apply(text).num_contained.to_pylist() == [1] * num_texts  # no false negatives


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"mode": "old_both"}, "nearest: old-both"),
        ({"mode": "naive-both"}, "no mode 'naive-both'"),
        ({"min_ngram": 0}, "the first not above the second"),
        ({"min_ngram": 21}, "the first not above the second"),
        ({"expected_ngrams": 0}, "must be 1 or more"),
        ({"substring_length": 0}, "must be 1 or more"),
        ({"fp_rate": 0.0}, "between 0 and 1"),
        ({"fp_rate": 1.0}, "between 0 and 1"),
        ({"threshold": 1.1}, "from 0 to 1"),
        ({"threshold": float("nan")}, "from 0 to 1"),
    ],
)
def test_wrong_parameters_are_refused(wrong: dict[str, int | float | str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        BloomParams(**{"expected_ngrams": 1000, "fp_rate": 0.01} | wrong)  # type: ignore[arg-type]  # wrong by intent


def test_a_filter_over_the_limit_is_refused() -> None:
    fits = BloomParams(1000, 0.01)
    Bloom(fits, max_bytes=fits.num_bytes)
    with pytest.raises(
        ConfigError, match=r"1000 n-grams .* of 1200 bytes, more than cut.max_bytes=1199; raise it .* more cut.groups"
    ):
        Bloom(fits, max_bytes=fits.num_bytes - 1)
