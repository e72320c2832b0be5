"""fastText's best label of a text, from its UTF-8 bytes: the additions of fastText 0.9.2, in its order, in float32.

So the probabilities are the library's own: tests/filters/test_fasttextkernel.py compares them on arbitrary text.
"""

import math

import numpy as np

from lakeloom.filters.fasttextfile import HASH_BASIS, Floats, Model, Numbers, equals, hashed
from lakeloom.filters.kernel import Bytes, Hashes, Ints, integer, kernel

_LF, _BEGIN, _END = b"\n<>"
_EOS = np.frombuffer(b"</s>", np.uint8)
_LABEL = np.frombuffer(b"__label__", np.uint8)
_TINY = 1e-5  # added before each logarithm, as std_log does
_STEP = np.uint64(116049371)  # between the words of an n-gram's hash


@kernel
def best_labels(data: Bytes, starts: Ints, ends: Ints, model: Model) -> tuple[Ints, Floats]:
    """Number of the likeliest label (-1: none) and its probability, of texts as one line each.

    Newlines are left out, not replaced, so words across lines are glued; the end of the text ends the line.
    """
    labels, scores = np.full(len(starts), -1), np.zeros(len(starts), np.float32)
    room = 0
    for number in range(len(starts)):
        room = max(room, ends[number] - starts[number])
    # A byte and a blank become three bytes, "<a>".
    line, bounds = np.empty(room // 2 * 3 + 3 + len(_EOS) + 2, np.uint8), np.empty(room // 2 + 3, np.int64)
    hashes = np.empty(len(bounds) if model.word_ngrams > 1 else 0, np.uint64)
    hidden = np.empty(model.vectors.shape[1], np.float32)
    for number in range(len(starts)):
        num_tokens = _tokens(data, starts[number], ends[number], line, bounds)
        hidden[:] = 0
        num_inputs = _add_tokens(line, bounds, num_tokens, model, hidden)
        if model.word_ngrams > 1:
            num_inputs += _add_word_ngrams(hashes[: _hashes(line, bounds, num_tokens, model, hashes)], model, hidden)
        if num_inputs:
            scale = np.float32(1.0 / num_inputs)
            for nth in range(len(hidden)):
                hidden[nth] *= scale
            if model.is_softmax:
                labels[number], scores[number] = _best_row(model, hidden)
            else:
                labels[number], scores[number] = _best_leaf(model, hidden)
    return labels, scores


@kernel
def _tokens(data: Bytes, start: int, end: int, line: Bytes, bounds: Ints) -> int:
    """Write the tokens with < before and > after each, and </s> last; where each begins; their number."""
    num_tokens, size, begin = 0, 0, 0
    line[0] = _BEGIN
    for place in range(start, end + 1):
        byte = data[place] if place < end else np.uint8(32)
        if byte == _LF:
            continue
        if not (byte == 32 or byte == 0 or 9 <= byte <= 13):
            size += 1
            line[begin + size] = byte
        elif size:
            bounds[num_tokens] = begin
            num_tokens += 1
            line[begin + size + 1] = _END
            if equals(line, begin + 1, size, _EOS):  # it ends the line wherever it stands
                bounds[num_tokens] = begin + size + 2
                return num_tokens
            begin += size + 2
            line[begin] = _BEGIN
            size = 0
    bounds[num_tokens] = begin
    line[begin + 1 : begin + 1 + len(_EOS)] = _EOS
    bounds[num_tokens + 1] = begin + len(_EOS) + 2
    return num_tokens + 1


@kernel
def _add_tokens(line: Bytes, bounds: Ints, num_tokens: int, model: Model, hidden: Floats) -> int:
    """Add the vectors of each token, if it is a word of the dictionary, and of its n-grams; how many."""
    # A tuple of arrays costs more to hand over than all that is done with one token.
    words, word_ends, slots, vectors = model.words, model.word_ends, model.slots, model.vectors
    kept, is_kept, num_words, num_buckets = model.kept, model.is_kept, model.num_words, model.num_buckets
    min_n, max_n = model.min_n, model.max_n
    num_inputs = 0
    for token in range(num_tokens):
        begin, end = bounds[token], bounds[token + 1]
        number = _find(line, begin + 1, end - 1, words, word_ends, slots)
        if number >= 0:
            _add(vectors, number, hidden)
            num_inputs += 1
        elif _is_label(line, begin, end):
            continue
        if max_n > 0 and not equals(line, begin + 1, end - begin - 2, _EOS):
            num_inputs += _add_ngrams(
                line, begin, end, min_n, max_n, num_words, num_buckets, kept, is_kept, vectors, hidden
            )
    return num_inputs


@kernel
def _is_label(line: Bytes, begin: int, end: int) -> bool:
    """Whether a token, with its marks, begins as a label does; those are no words."""
    return bool(end - begin - 2 >= len(_LABEL) and equals(line, begin + 1, len(_LABEL), _LABEL))


@kernel
def _hashes(line: Bytes, bounds: Ints, num_tokens: int, model: Model, hashes: Hashes) -> int:
    """Write the hash of each word, </s> too, in the 64 bits of a signed number of 32; how many."""
    num_words = 0
    for token in range(num_tokens):
        begin, end = bounds[token], bounds[token + 1]
        if (
            _is_label(line, begin, end)
            and _find(line, begin + 1, end - 1, model.words, model.word_ends, model.slots) < 0
        ):
            continue
        value = HASH_BASIS
        for place in range(begin + 1, end - 1):
            value = hashed(value, line[place])
        hashes[num_words] = np.uint64(np.int64(np.int32(value)))
        num_words += 1
    return num_words


@kernel
def _add_word_ngrams(hashes: Hashes, model: Model, hidden: Floats) -> int:
    """Add the vectors of the runs of two words and more; how many."""
    num_inputs, size = 0, np.uint64(model.num_buckets)
    for first in range(len(hashes)):
        value = hashes[first]
        for last in range(first + 1, min(first + model.word_ngrams, len(hashes))):
            value = value * _STEP + hashes[last]
            bucket = integer(value % size)
            if len(model.kept) == 0:
                _add(model.vectors, model.num_words + bucket, hidden)
            elif model.kept[bucket] >= 0:
                _add(model.vectors, integer(model.kept[bucket]), hidden)
            else:
                continue
            num_inputs += 1
    return num_inputs


@kernel
def _add(vectors: Floats, number: int, hidden: Floats) -> None:
    for nth in range(len(hidden)):
        hidden[nth] += vectors[number, nth]


@kernel
def _find(line: Bytes, begin: int, end: int, words: Bytes, word_ends: Ints, slots: Numbers) -> int:
    """Number of the word line[begin:end] in the dictionary, or -1."""
    value = HASH_BASIS
    for place in range(begin, end):
        value = hashed(value, line[place])
    last = len(slots) - 1
    slot = integer(value) & last
    while slots[slot] >= 0:
        number = integer(slots[slot])
        if equals(line, begin, end - begin, words[word_ends[number] : word_ends[number + 1]]):
            return number
        slot = (slot + 1) & last
    return -1


@kernel
def _modulo(value: np.uint32, size: int, inverse: float) -> int:
    """value % size without a division, which took as long as the rest of an n-gram; right for 32 bits."""
    number = integer(value)
    rest = number - int(number * inverse) * size
    if rest < 0:
        return rest + size
    return rest - size if rest >= size else rest


@kernel
def _add_ngrams(
    line: Bytes,
    begin: int,
    end: int,
    min_n: int,
    max_n: int,
    num_words: int,
    num_buckets: int,
    kept: Numbers,
    is_kept: Bytes,
    vectors: Floats,
    hidden: Floats,
) -> int:
    """Add the vectors of the character n-grams of line[begin:end]; how many."""
    num_inputs, inverse = 0, 1.0 / num_buckets
    for start in range(begin, end):
        if line[start] & 0xC0 == 0x80:
            continue
        value, place, length = HASH_BASIS, start, 0
        while place < end and length < max_n:
            value = hashed(value, line[place])
            place += 1
            while place < end and line[place] & 0xC0 == 0x80:
                value = hashed(value, line[place])
                place += 1
            length += 1
            if length < min_n or (length == 1 and (start == begin or place == end)):
                continue
            bucket = _modulo(value, num_buckets, inverse)
            if len(kept) == 0:
                _add(vectors, num_words + bucket, hidden)
                num_inputs += 1
            elif is_kept[bucket >> 3] >> (bucket & 7) & 1:  # few are, and the bits stay in the cache
                _add(vectors, integer(kept[bucket]), hidden)
                num_inputs += 1
    return num_inputs


@kernel
def _best_leaf(model: Model, hidden: Floats) -> tuple[int, np.float32]:
    """The likeliest leaf of the tree of labels and its probability: depth first, left to right, without the worse."""
    num_leaves = (len(model.left) + 1) // 2
    nodes, scores = np.empty(len(model.left) + 1, np.int64), np.empty(len(model.left) + 1, np.float32)
    nodes[0], scores[0], depth = len(model.left) - 1, np.float32(0), 1
    best, most = -1, np.float32(-np.inf)
    while depth:
        depth -= 1
        node, score = nodes[depth], scores[depth]
        if score < np.float32(math.log(_TINY)) or (best >= 0 and score < most):
            continue
        if model.left[node] < 0:
            if best < 0 or score > most:
                best, most = node, score
            continue
        share = np.float32(0)
        for nth in range(len(hidden)):
            share += model.outputs[node - num_leaves, nth] * hidden[nth]
        odds = np.float32(math.exp(-share))
        share = np.float32(1.0 / (np.float32(1) + odds))
        nodes[depth], scores[depth] = model.right[node], score + _log(share)
        nodes[depth + 1], scores[depth + 1] = model.left[node], score + _log(np.float32(1.0 - share))
        depth += 2
    return best, np.float32(math.exp(most)) if best >= 0 else np.float32(0)


@kernel
def _best_row(model: Model, hidden: Floats) -> tuple[int, np.float32]:
    """The likeliest label by a softmax over all, and its probability; of equals the last."""
    outputs = np.zeros(len(model.outputs), np.float32)
    for row in range(len(outputs)):
        for nth in range(len(hidden)):
            outputs[row] += model.outputs[row, nth] * hidden[nth]
    most, total = outputs.max(), np.float32(0)
    for row in range(len(outputs)):
        outputs[row] = np.float32(math.exp(np.float64(outputs[row] - most)))  # as the library does, not in 32 bits
        total += outputs[row]
    best, score = -1, np.float32(0)
    for row in range(len(outputs)):
        found = _log(outputs[row] / total)
        if best < 0 or not found < score:
            best, score = row, found
    return best, np.float32(math.exp(score))


@kernel
def _log(value: np.float32) -> np.float32:
    return np.float32(math.log(float(value) + _TINY))
