"""Lines are measured as Python would, and come together again as '\\n'.join would have them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lakeloom.filters.characters import characters
from lakeloom.filters.linetable import is_touched, join_lines, line_table

AWKWARD = "aB1\u00b2\u0663\u00c9\u4e00 \t\n\r\x1c\u2028\u3000\U0001f600\u01c5"
TEXTS = st.lists(st.text(st.sampled_from(AWKWARD) | st.characters(codec="utf-8"), max_size=40), min_size=1, max_size=4)


def spans(texts: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    encoded = [text.encode() for text in texts]
    ends = np.cumsum([len(text) for text in encoded], dtype=np.int64)
    return np.frombuffer(b"".join(encoded), np.uint8), np.concatenate([np.zeros(1, np.int64), ends[:-1]]), ends


@given(TEXTS)
def test_lines_are_measured_as_in_python(texts: list[str]) -> None:
    table = line_table(*spans(texts), characters())
    lines = [line for text in texts for line in text.split("\n")]
    assert table.num_chars.tolist() == [len(line) for line in lines]
    assert table.num_upper.tolist() == [sum(map(str.isupper, line)) for line in lines]
    assert table.num_digits.tolist() == [sum(map(str.isdigit, line)) for line in lines]
    assert table.num_words.tolist() == [len(line.split()) for line in lines]
    assert np.diff(table.first).tolist() == [text.count("\n") + 1 for text in texts]


@given(TEXTS, st.booleans(), st.data())
def test_kept_lines_are_joined_as_in_python(texts: list[str], is_stripped: bool, data: st.DataObject) -> None:
    table = line_table(*spans(texts), characters())
    keep = data.draw(st.lists(st.booleans(), min_size=len(table.start), max_size=len(table.start)))
    flags = iter(keep)
    expected = ["\n".join(line for line in text.split("\n") if next(flags)) for text in texts]
    expected = [text.strip() if is_stripped else text for text in expected]
    rows = np.array(sorted(data.draw(st.sets(st.sampled_from(range(len(texts)))))), np.int64)
    joined, offsets = join_lines(spans(texts)[0], table, rows, np.array(keep), is_stripped, characters())
    got = [joined[offsets[i] : offsets[i + 1]].tobytes().decode() for i in range(len(rows))]
    assert got == [expected[row] for row in rows]
    touched = is_touched(*spans(texts), table, np.array(keep), is_stripped, characters())
    changed = [new != old for new, old in zip(expected, texts, strict=True)]
    assert not any(change and not touch for change, touch in zip(changed, touched, strict=True))
