"""FineWeb's signals against the same rules in plain Python, and the recipe on pages of each kind."""

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from uniseg.sentencebreak import SentenceBreak, sentence_break

from lakeloom.filters import fineweb
from lakeloom.filters.textindex import TextIndex
from tests.filters.shipped import verdict

TEXTS = st.text(
    st.one_of(st.sampled_from('ab \n\n.!?"\u3002\u2026\u00a0\u0964,'), st.characters(codec="utf-8")), max_size=40
)


def finished(text: str) -> float | None:
    lines = [line for line in text.split("\n") if line.strip()]
    ends = [sentence_break(line[-1]) in (SentenceBreak.ATERM, SentenceBreak.STERM) for line in lines]
    return sum(ends) / len(lines) if lines else None


def short(text: str, max_chars: int) -> float | None:
    lines = [line for line in text.split("\n") if line.strip()]
    return sum(len(line) <= max_chars for line in lines) / len(lines) if lines else None


def copied(text: str) -> float | None:
    seen, chars = set[str](), 0
    for line in text.split("\n"):
        if line.strip() and line in seen:
            chars += len(line)
        seen.add(line)
    whole = len(text.replace("\n", ""))
    return chars / whole if whole else None


@given(TEXTS, st.integers(1, 8))
@example("", 1)
@example("\n\n", 1)
@example("a.\na.\na.", 2)
@example("a. \n b!", 3)
@example("\u0964\n\U0001e95f", 1)
def test_signals_are_those_of_plain_python(text: str, max_chars: int) -> None:
    index = TextIndex.of(pa.array([text, None], pa.string()))
    assert fineweb.finished_line_ratio(index).to_pylist() == [finished(text), None]
    assert fineweb.short_line_ratio(index, max_chars=max_chars).to_pylist() == [short(text, max_chars), None]
    assert fineweb.copied_line_char_ratio(index).to_pylist() == [copied(text), None]


def test_each_text_has_its_own_copies() -> None:
    index = TextIndex.of(pa.array(["same", "same", "same\nsame"]))
    assert fineweb.copied_line_char_ratio(index).to_pylist() == [0, 0, 0.5]


BRIEF = [
    *("Bring warm gloves.", "Ask for Martha.", "Dogs stay outside.", "Parking costs money.", "Lunch begins at noon."),
    *("No tickets needed.", "Trains run hourly.", "Photos are welcome.", "Books sell upstairs.", "Doors close early."),
    "Everyone helps tidy up.",
]
PROSE = [
    "Winter mornings are quiet here, and most families stay indoors until the sun is well above the hills.",
    "A small museum next to the station shows how looms changed when steam engines replaced water wheels.",
    "Children learn to spin before they can write, and many of them remember the songs that go with it.",
    "Nobody expected such rain in May, so half of our seed had to be sown again in the first week of June.",
    "If you want to see a working mill, take an early train and walk along the canal for half an hour.",
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\n".join(PROSE), None),
        ("\n".join([*PROSE, "Enable JavaScript to read this page.", "We use cookies and a privacy policy."]), None),
        ("\n".join([*PROSE, "Lorem ipsum dolor sit amet, and so on."]), "has_lorem_ipsum"),
        ("\n".join([*PROSE, "function weave() { return cloth and thread; }"]), "has_brace"),
        ("\n".join(line.rstrip(".") for line in PROSE), "num_sentences"),
        ("\n".join(line.rstrip(".") + " \u2013" for line in PROSE), "num_sentences"),
        (" ".join(PROSE) + "\n" + "\n".join(f"see chapter {one}" for one in "abcdefghij"), "finished_line_ratio"),
        ("\n".join([*PROSE, *BRIEF]), "short_line_ratio"),
    ],
)
def test_verdicts(text: str, expected: str | None) -> None:
    assert verdict("fineweb", text) == expected
