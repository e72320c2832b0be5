"""The diff of an edit: what diff -u says of short lines, long ones cut around the change, nothing a terminal obeys."""

import difflib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeloom.jobs.textdiff import MAX_COMPARED, unified

LINES = st.lists(st.sampled_from(["a", "b", "c", "same", ""]), max_size=20).map("\n".join)


@given(LINES, LINES, st.integers(0, 3))
def test_short_lines_give_what_diff_says(before: str, after: str, context: int) -> None:
    expected = list(difflib.unified_diff(before.split("\n"), after.split("\n"), n=context, lineterm=""))[2:]
    found = unified(before, after, context=context, max_lines=0)
    # Trimming what both begin and end with may choose other, equally short hunks: so both are applied.
    assert bool(found) == bool(expected) == (before != after)
    assert applied(before, found) == after


def applied(before: str, lines: list[str]) -> str:
    """What patch makes of a diff."""
    old, new, place = before.split("\n"), list[str](), 0
    for line in lines:
        if line.startswith("@@"):
            start, _, length = line.split()[1][1:].partition(",")
            begin = int(start) - (0 if length == "0" else 1)
            new += old[place:begin]
            place = begin
        elif line[0] == "+":
            new.append(line[1:])
        else:
            assert old[place] == line[1:]
            place += 1
            new += [line[1:]] if line[0] == " " else []
    return "\n".join(new + old[place:])


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ("a", "a", []),
        ("a\nb", "a", ["@@ -1,2 +1 @@", " a", "-b"]),
        ("a", "", ["@@ -1 +1 @@", "-a", "+"]),
        ("a\rb\u2028c", "a", ["@@ -1 +1 @@", "-a\\rb\\u2028c", "+a"]),
        ("\x1b[31mred\u202e", "red", ["@@ -1 +1 @@", "-\\x1b[31mred\\u202e", "+red"]),
        ("\u4e2d\u6587 caf\u00e9", "caf\u00e9", ["@@ -1 +1 @@", "-\u4e2d\u6587 caf\u00e9", "+caf\u00e9"]),
    ],
)
def test_examples(before: str, after: str, lines: list[str]) -> None:
    assert unified(before, after) == lines


def test_a_long_line_is_cut_around_its_change() -> None:
    before = "x" * 1000 + " see http://a.org now " + "y" * 2000
    found = unified(before, before.replace(" http://a.org", ""))
    near = "x" * 35 + " see ", "now " + "y" * 36
    assert found[1] == f"-[965 characters] {near[0]}http://a.org {near[1]} [1,964 characters]"
    assert found[2] == f"+[965 characters] {near[0]}{near[1]} [1,964 characters]"


def test_a_long_line_that_goes_shows_its_ends() -> None:
    found = unified("a\n" + "x" * 1001 + "end\nb", "a\nb", width=20)
    assert found == ["@@ -1,3 +1,2 @@", " a", "-xxxxxxxxxx [984 characters] xxxxxxxend", " b"]


def test_what_is_left_out_is_said() -> None:
    assert unified("\n".join("abcdef"), "", max_lines=3)[-1] == "... 5 more lines of this diff"
    numbers = [str(number) for number in range(MAX_COMPARED + 7)]
    assert unified("\n".join(numbers), "z", max_lines=0)[-1] == "... 7 more lines of text not compared"


@pytest.mark.timeout(20)
def test_many_lines_take_seconds_at_most() -> None:
    lines = [str(number % 977) for number in range(300_000)]
    assert len(unified("\n".join(lines), "\n".join(lines[::3]))) == 42
