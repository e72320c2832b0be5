"""What each mode of DCLM's BFF removes from a text, given what a Bloom filter has seen before it.

Rules: DCLM's dedup/bff/src/main.rs, process_line and its siblings. Spans are bytes of their text.
"""

from typing import NamedTuple

import numpy as np

from lakeloom.filters.bloombits import Filter, contained_of, contains, insert, insert_all
from lakeloom.filters.characters import Characters, decode
from lakeloom.filters.kernel import Bytes, Hashes, Ints, kernel
from lakeloom.filters.spans import Found, add_span, is_blank_without
from lakeloom.filters.tokens import Tokens, hash_bytes, hash_runs, is_white_space, room, split_tokens

MODES = ("paragraph", "document", "old-both", "both", "substring", "exact")
_PARAGRAPH, _DOCUMENT, _OLD_BOTH, _BOTH, _SUBSTRING, _EXACT = range(6)

_CONTAINED, _FUSED = 1, 2  # marks of tokens
_LF = 10


class Rule(NamedTuple):
    """BloomParams for kernels: `mode` is its place in MODES, `length` that of a substring."""

    mode: int
    min_ngram: int
    max_ngram: int
    threshold: float
    length: int


class _Text(NamedTuple):
    """data[start:end]; tokens [0:num_tokens]; a mark for each token, all 0 between texts."""

    data: Bytes
    start: int
    end: int
    tokens: Tokens
    num_tokens: int
    marks: Bytes


@kernel
def remove(data: Bytes, starts: Ints, ends: Ints, table: Characters, bloom: Filter, rule: Rule) -> Found:
    """What goes of the texts data[starts[i]:ends[i]], one after another; the filter learns what stays."""
    offsets, is_emptied = np.zeros(len(starts) + 1, np.int64), np.zeros(len(starts), np.bool_)
    num_ngrams, num_contained = np.zeros(len(starts), np.int64), np.zeros(len(starts), np.int64)
    tokens = room(starts, ends)
    marks = np.zeros(len(tokens.starts) if rule.mode in (_BOTH, _SUBSTRING) else 0, np.uint8)
    spans, count = np.empty((16, 2), np.int64), 0
    for row in range(len(starts)):
        first, num_tokens = count, 0
        if rule.mode != _EXACT:
            num_tokens = split_tokens(data, starts[row], ends[row], table, tokens.starts, tokens.ends)
            for token in range(num_tokens):
                tokens.hashes[token] = hash_bytes(data, tokens.starts[token], tokens.ends[token])
        text = _Text(data, starts[row], ends[row], tokens, num_tokens, marks)
        if starts[row] == ends[row]:
            total, seen = 0, 0
        elif rule.mode == _EXACT:
            total, seen, spans, count = _exact(text, bloom, spans, count)
        elif rule.mode == _BOTH:
            total, seen, spans, count = _both(text, table, bloom, rule, spans, count)
        elif rule.mode == _SUBSTRING:
            total, seen, spans, count = _substring(text, table, bloom, rule, spans, count)
        else:
            total, seen, spans, count = _windows(text, bloom, rule, spans, count)
        num_ngrams[row], num_contained[row] = total, seen
        is_emptied[row] = is_blank_without(tokens.starts, num_tokens, starts[row], spans[first:count])
        offsets[row + 1] = count
    return Found(offsets, spans[:count, 0].copy(), spans[:count, 1].copy(), is_emptied, num_ngrams, num_contained)


@kernel
def _ngrams(hashes: Hashes, first: int, last: int, rule: Rule) -> int:
    """Put n-grams in the place of the tokens from `first` to `last`; how many.

    Fewer tokens than max_ngram are one n-gram, fewer than min_ngram none.
    """
    length = min(rule.max_ngram, last - first)
    return hash_runs(hashes, first, last, length) if length >= rule.min_ngram else 0


@kernel
def _next_newline(data: Bytes, place: int, end: int) -> int:
    while place < end and data[place] != _LF:
        place += 1
    return place


@kernel
def _windows(text: _Text, bloom: Filter, rule: Rule, spans: Ints, count: int) -> tuple[int, int, Ints, int]:
    """Modes of paragraphs or the whole text: n-grams, those contained, spans.

    A paragraph begins with the newline before it, so this goes with it.
    """
    hashes, starts, num_tokens = text.tokens.hashes, text.tokens.starts, text.num_tokens
    begin, stop, token, first, total, seen = text.start, text.end, 0, count, 0, 0
    if rule.mode != _DOCUMENT:
        stop = _next_newline(text.data, begin, text.end)
    while True:
        last = token
        while last < num_tokens and starts[last] < stop:
            last += 1
        num = _ngrams(hashes, token, last, rule)
        contained = contained_of(bloom, hashes, token, num)
        if num and contained / num > rule.threshold:
            spans, count = add_span(spans, first, count, begin - text.start, stop - text.start)
        else:
            insert_all(bloom, hashes, token, num)
        total, seen = total + num, seen + contained
        if stop == text.end:
            break
        token, begin, stop = last, stop, _next_newline(text.data, stop + 1, text.end)
    if rule.mode == _OLD_BOTH and total and seen / total > rule.threshold:
        spans, count = add_span(spans, first, first, 0, text.end - text.start)
    return total, seen, spans, count


@kernel
def _exact(text: _Text, bloom: Filter, spans: Ints, count: int) -> tuple[int, int, Ints, int]:
    """The whole text as one item."""
    item = hash_bytes(text.data, text.start, text.end)
    if contains(bloom.bits, bloom.num_hashers, item):
        spans, count = add_span(spans, count, count, 0, text.end - text.start)
        return 1, 1, spans, count
    insert(bloom.bits, bloom.num_hashers, bloom.counts, item)
    return 1, 0, spans, count


@kernel
def _both(
    text: _Text, table: Characters, bloom: Filter, rule: Rule, spans: Ints, count: int
) -> tuple[int, int, Ints, int]:
    """Page, then paragraphs, by n-grams over the whole page; n-grams that touch no removed paragraph are inserted."""
    hashes, starts, num_tokens, marks = text.tokens.hashes, text.tokens.starts, text.num_tokens, text.marks
    total = _ngrams(hashes, 0, num_tokens, rule)
    seen = contained_of(bloom, hashes, 0, total)
    if total == 0:
        return 0, 0, spans, count
    if seen / total >= rule.threshold:
        spans, count = add_span(spans, count, count, 0, text.end - text.start)
        return total, seen, spans, count
    token, begin, first = 0, text.start, count
    stop = _next_newline(text.data, begin, text.end)
    while True:
        last = token
        while last < num_tokens and starts[last] < stop:
            last += 1
        num = last - token - rule.max_ngram + 1  # n-grams that don't cross into the next paragraph
        if num > 0 and contained_of(bloom, hashes, token, num) / num >= rule.threshold:
            spans, count = add_span(spans, first, count, begin - text.start, stop - text.start)
            marks[token:last] = 1
        if stop == text.end:
            break
        token, begin, stop = last, stop, _next_newline(text.data, stop + 1, text.end)
    length = num_tokens - total + 1
    for place in range(total):
        if not marks[place] and not marks[place + length - 1]:  # one in between has no n-gram, so it stays
            insert_all(bloom, hashes, place, 1)
    marks[:num_tokens] = 0
    spans, count = _trim(text, table, spans, first, count)
    return total, seen, spans, count


@kernel
def _trim(text: _Text, table: Characters, spans: Ints, first: int, count: int) -> tuple[Ints, int]:
    """Take the white space at the end of what the spans leave."""
    place = text.end - text.start
    size = place
    while place > 0:
        if count > first and spans[count - 1, 1] == place:
            count -= 1
            place = spans[count, 0]
            continue
        before = place - 1
        while before > 0 and text.data[text.start + before] & 0xC0 == 0x80:
            before -= 1
        code, _ = decode(text.data, text.start + before, text.end)
        if not is_white_space(code, table):
            break
        place = before
    if place < size:
        return add_span(spans, first, count, place, size)
    return spans, count


@kernel
def _substring(
    text: _Text, table: Characters, bloom: Filter, rule: Rule, spans: Ints, count: int
) -> tuple[int, int, Ints, int]:
    """Runs of contained n-grams, neighbours fused; the long ones go, with the white space up to the next token."""
    hashes, starts, num_tokens, marks = text.tokens.hashes, text.tokens.starts, text.num_tokens, text.marks
    total, seen = hash_runs(hashes, 0, num_tokens, rule.max_ngram), 0
    if total == 0:
        return 0, 0, spans, count
    reach = 0
    for place in range(total):
        if contains(bloom.bits, bloom.num_hashers, hashes[place]):
            seen += 1
            marks[max(reach, place) : place + rule.max_ngram] = _CONTAINED
            reach = place + rule.max_ngram
    _fuse(marks[:num_tokens], rule.threshold)
    _fuse(marks[:num_tokens][::-1], rule.threshold)
    _drop_short(marks[:num_tokens], rule.length)
    token, first = 0, count
    if starts[0] > text.start:  # BFF writes what is between tokens, so nothing before the first
        spans, count = add_span(spans, first, count, 0, starts[0] - text.start)
    while token < num_tokens:
        last = _run_end(marks[:num_tokens], token)
        if marks[token]:
            stop = starts[last] if last < num_tokens else text.end
            spans, count = add_span(spans, first, count, starts[token] - text.start, stop - text.start)
        else:
            insert_all(bloom, hashes, token, last - token - rule.max_ngram + 1)
        token = last
    marks[:num_tokens] = 0
    spans, count = _trim(text, table, spans, first, count)
    return total, seen, spans, count


@kernel
def _fuse(marks: Bytes, threshold: float) -> None:
    """Mark runs of contained tokens, and what is between neighbours while enough of their span is contained."""
    begin, stop, covered, token = 0, 0, 0, 0
    while token < len(marks):
        if not marks[token] & _CONTAINED:
            token += 1
            continue
        last = token
        while last < len(marks) and marks[last] & _CONTAINED:
            last += 1
        if covered and covered + last - token >= (last - begin) * threshold:
            covered += last - token
        else:
            _mark(marks, begin, stop)
            begin, covered = token, last - token
        token = stop = last
    _mark(marks, begin, stop)


@kernel
def _mark(marks: Bytes, begin: int, stop: int) -> None:
    for token in range(begin, stop):
        marks[token] |= _FUSED


@kernel
def _drop_short(marks: Bytes, length: int) -> None:
    """Unmark the runs of fewer tokens."""
    token = 0
    while token < len(marks):
        last = _run_end(marks, token)
        if last - token < length:
            marks[token:last] = 0
        token = last


@kernel
def _run_end(marks: Bytes, token: int) -> int:
    """The first token after `token` that is not marked as it is."""
    last = token
    while last < len(marks) and (marks[last] != 0) == (marks[token] != 0):
        last += 1
    return last
