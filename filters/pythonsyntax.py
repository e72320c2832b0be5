r"""Expressions of Python's re for the package regex, whose \w, \b, \s and \d are of other characters.

For regex a combining accent is of a word and a superscript two isn't, and U+001C is no space. Here they are put in as
the sets of characters that re means.
"""

import re
from collections.abc import Callable
from functools import cache
from itertools import groupby

_SURROGATES = range(0xD800, 0xE000)  # no text has them


def translated(pattern: str) -> str:
    """The expression with its classes of characters spelt out; one that asks for ASCII's, by (?a), stays."""
    if "(?a" in pattern:
        return pattern
    out, place, first = list[str](), 0, -1  # of the set that is open, where its first character stands; -1: none is
    while place < len(pattern):
        sign = pattern[place]
        if sign == "\\" and place + 1 < len(pattern):
            letter = pattern[place + 1]
            known = _within() if first >= 0 else _alone()
            out.append(known.get(letter, sign + letter))
            place += 2
            continue
        if sign == "[" and first < 0:
            first = place + (2 if pattern[place + 1 : place + 2] == "^" else 1)
        elif sign == "]" and place > first >= 0:
            first = -1
        out.append(sign)
        place += 1
    return "".join(out)


@cache
def _within() -> dict[str, str]:
    """What stands for an escape inside a set."""
    found = {"w": _ranges(_is_word), "s": _ranges(str.isspace), "d": _ranges(str.isdecimal)}
    others = {"W": _ranges(_is_no_word), "S": _ranges(_is_no_space), "D": _ranges(_is_no_digit)}
    return found | others


@cache
def _alone() -> dict[str, str]:
    """What stands for an escape elsewhere. A set's characters count by themselves, whatever case matters."""
    sets = {letter: f"(?-i:[{inside}])" for letter, inside in _within().items()}
    word = sets["w"]
    edge = f"(?:(?<={word})(?!{word})|(?<!{word})(?={word}))"
    # In an empty text re found none of either before Python 3.14.
    some_text = "" if re.search(r"\B", "") else r"(?!\A\Z)"
    return sets | {"b": edge, "B": f"(?!{edge}){some_text}"}


def _is_word(letter: str) -> bool:
    return letter.isalnum() or letter == "_"


def _is_no_word(letter: str) -> bool:
    return not _is_word(letter)


def _is_no_space(letter: str) -> bool:
    return not letter.isspace()


def _is_no_digit(letter: str) -> bool:
    return not letter.isdecimal()


def _ranges(is_in: Callable[[str], bool]) -> str:
    """The characters as ranges of a set."""
    found = list[str]()
    codes = (code for code in range(0x110000) if code not in _SURROGATES)
    for is_chosen, group in groupby(codes, key=lambda code: is_in(chr(code))):
        if is_chosen:
            run = list(group)
            found.append(rf"\U{run[0]:08x}-\U{run[-1]:08x}")
    return "".join(found)
