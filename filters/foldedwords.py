"""Words that stay the same when a text changes its case, punctuation or Unicode form: hashes and places, no strings.

The normal form of a text: characters that are written between the letters of a word (marks of any script, so
accents; invisible format characters such as the soft hyphen and the zero-width space; apostrophes) are left out;
then NFKD, str.casefold, NFKD, and marks are left out again. A word is a run of str.isalnum() in that. So a word is
the same with and without accents, composed or decomposed, in capitals and in full width; "don't" is "dont"; and a
dash or an underscore ends a word whether or not there are blanks around it. Scripts without blanks have words as
long as what stands between two marks. Python twin: tests/filters/test_foldedwords.py.

N-grams of lower-case words without punctuation are how GPT-3 looked for its benchmarks (arXiv 2005.14165, appendix
C). Unlike there punctuation ends a word, since a copy has other dashes and brackets sooner than other blanks.
"""

from functools import cache
from itertools import chain
from typing import NamedTuple
from unicodedata import category, normalize

import numpy as np
from numpy.typing import NDArray

from lakeloom.filters.characters import decode
from lakeloom.filters.kernel import Bytes, Hashes, Ints, integer, kernel
from lakeloom.filters.words import FNV_OFFSET, FNV_PRIME

Codes = NDArray[np.uint32]

APOSTROPHES = "'`\u00b4\u02b9\u02bc\u2018\u2019\u201b\u2032\uff07"
_BREAK, _SKIP, _MANY = 0, 1, 0x110000  # what `of` has for a code point beside the letter it becomes: _MANY + number
_NUM_CODE_POINTS = 0x110000


class Folds(NamedTuple):
    """What becomes of each code point; those that become several are parts[bounds[i]:bounds[i + 1]]."""

    of: Codes
    parts: Codes
    bounds: Ints


def folded(character: str) -> str | None:
    """Letters and digits that a character becomes, a blank for what ends a word; None if it is left out."""
    plain = _without_signs(normalize("NFKD", _without_signs(character))).casefold()
    plain = _without_signs(normalize("NFKD", plain))
    return "".join(one if one.isalnum() else " " for one in plain) or None


def _without_signs(text: str) -> str:
    """What remains of a text without marks, format characters and apostrophes."""
    return "".join(one for one in text if not (one in APOSTROPHES or category(one)[0] == "M" or category(one) == "Cf"))


@cache
def folds() -> Folds:
    """The table, made once a process (about 0.4 s). Planes 4 to 13, 15 and 16 hold nothing but what ends a word."""
    of = np.full(_NUM_CODE_POINTS, _BREAK, np.uint32)
    parts = list[int]()
    bounds = [0]
    for code in chain(range(0xD800), range(0xE000, 0x40000), range(0xE0000, 0xE1000)):
        fold = folded(chr(code))
        if fold is None:
            of[code] = _SKIP
        elif len(fold) > 1:
            of[code] = _MANY + len(bounds) - 1
            parts += [_BREAK if one == " " else ord(one) for one in fold]
            bounds.append(len(parts))
        elif fold != " ":
            of[code] = ord(fold)
    return Folds(of, np.array(parts, np.uint32), np.array(bounds, np.int64))


class Words(NamedTuple):
    """Words of one text, room for the most it can have: hash of each, and where its bytes begin and end."""

    hashes: Hashes
    starts: Ints
    ends: Ints


@kernel
def room(num_bytes: int) -> Words:
    """Room for the words of a text: three bytes make four words at most (U+FDFA)."""
    size = 4 * (num_bytes // 3 + 1)
    return Words(np.empty(size, np.uint64), np.empty(size, np.int64), np.empty(size, np.int64))


@kernel
def split_folded(data: Bytes, start: int, end: int, table: Folds, words: Words) -> int:
    """Fill `words` with those of data[start:end]: FNV-1a over a word's code points; their number."""
    count, place, begin, last, hashed = 0, start, -1, start, FNV_OFFSET
    while place < end:
        code, width = integer(data[place]), 1
        if code >= 128:
            code, width = decode(data, place, end)
        fold = integer(table.of[code])
        first, after = 0, 1
        if fold >= _MANY:
            first, after = table.bounds[fold - _MANY], table.bounds[fold - _MANY + 1]
        for number in range(first, after):
            one = integer(table.parts[number]) if fold >= _MANY else fold
            if one > _SKIP:
                if begin < 0:
                    begin, hashed = place, FNV_OFFSET
                hashed = (hashed ^ np.uint64(one)) * FNV_PRIME
                last = place + width
            elif one == _BREAK and begin >= 0:
                words.hashes[count], words.starts[count], words.ends[count] = hashed, begin, last
                count += 1
                begin = -1
            elif begin >= 0:
                last = place + width
        place += width
    if begin >= 0:
        words.hashes[count], words.starts[count], words.ends[count] = hashed, begin, last
        count += 1
    return count
