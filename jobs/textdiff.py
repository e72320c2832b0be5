"""Two versions of a text side by side as a unified diff for people: long lines cut around what changed.

Characters that a terminal would obey or hide (controls, direction marks, zero widths) are written as escapes.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

# SequenceMatcher's time grows with the square of the lines in the worst case.
MAX_COMPARED = 5_000
_NEAR = 40  # characters shown on both sides of a change in a long line


def unified(before: str, after: str, *, context: int = 2, width: int = 160, max_lines: int = 40) -> list[str]:
    """Lines that begin with `@@`, a blank, - or +; empty for equal texts. `max_lines` 0: all of them.

    Lines end at U+000A alone, as in filters. What is left out is said in a last line that begins with `...`.
    """
    old, new = before.split("\n"), after.split("\n")
    if before == after:
        return []
    start = _common(old, new)
    end = _common(old[start:][::-1], new[start:][::-1])
    first = max(0, start - context)  # what both begin with costs nothing to compare
    last = max(0, end - context)
    ours, theirs = old[first : len(old) - last], new[first : len(new) - last]
    lines = list(_hunks(ours[:MAX_COMPARED], theirs[:MAX_COMPARED], first, context, width))
    uncompared = max(len(ours), len(theirs)) - MAX_COMPARED
    if max_lines and len(lines) > max_lines:
        lines[max_lines:] = [f"... {_counted(len(lines) - max_lines, 'more line')} of this diff"]
    if uncompared > 0:
        lines.append(f"... {_counted(uncompared, 'more line')} of text not compared")
    return lines


def visible(text: str) -> str:
    """The text with what isn't to be seen as an escape: U+001B as \\x1b, U+202E as \\u202e."""
    return "".join(_escaped(one) if _is_hidden(one) else one for one in text)


def _is_hidden(one: str) -> bool:
    return unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def _escaped(one: str) -> str:
    return one.encode("unicode_escape").decode("ascii")


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Number of equal lines at the start."""
    pairs = zip(one, other, strict=False)
    return next((n for n, (left, right) in enumerate(pairs) if left != right), min(len(one), len(other)))


def _hunks(old: list[str], new: list[str], first: int, context: int, width: int) -> Iterator[str]:
    for group in SequenceMatcher(None, old, new).get_grouped_opcodes(context):
        (_, i, _, k, _), (_, _, j, _, m) = group[0], group[-1]
        yield f"@@ -{_range(first + i, j - i)} +{_range(first + k, m - k)} @@"
        for tag, i1, i2, j1, j2 in group:
            if tag == "equal":
                yield from (" " + _shortened(line, width) for line in old[i1:i2])
            else:
                left, right = _pairs(old[i1:i2], new[j1:j2], width)
                yield from ("-" + line for line in left)
                yield from ("+" + line for line in right)


def _range(start: int, length: int) -> str:
    """A hunk's lines as diff -u writes them: from 1, an empty one by the line before it."""
    return str(start + 1) if length == 1 else f"{start + 1 if length else start},{length}"


def _pairs(old: list[str], new: list[str], width: int) -> tuple[list[str], list[str]]:
    """Both sides shortened; where they are as many lines, each around its difference from the other's."""
    if len(old) != len(new):
        return [_shortened(line, width) for line in old], [_shortened(line, width) for line in new]
    both = [_around(left, right, width) for left, right in zip(old, new, strict=True)]
    return [left for left, _ in both], [right for _, right in both]


def _around(left: str, right: str, width: int) -> tuple[str, str]:
    """Two long versions of a line, without most of what they begin and end with alike."""
    if max(len(left), len(right)) <= width:
        return visible(left), visible(right)
    short = min(len(left), len(right))
    head = next((n for n in range(short) if left[n] != right[n]), short)
    tail = next((n for n in range(short - head) if left[-1 - n] != right[-1 - n]), short - head)
    cut_head, cut_tail = max(0, head - _NEAR), max(0, tail - _NEAR)

    def cut(line: str) -> str:
        before = f"[{_counted(cut_head, 'character')}] " if cut_head else ""
        after = f" [{_counted(cut_tail, 'character')}]" if cut_tail else ""
        return before + _shortened(line[cut_head : len(line) - cut_tail], width) + after

    return cut(left), cut(right)


def _shortened(line: str, width: int) -> str:
    """The ends of a line that is too long, and how much is between them."""
    if len(line) <= width:
        return visible(line)
    half = width // 2
    return f"{visible(line[:half])} [{_counted(len(line) - 2 * half, 'character')}] {visible(line[-half:])}"


def _counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
