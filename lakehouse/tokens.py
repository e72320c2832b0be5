"""The one definition of text -> token ids, shared by export, training (vocabulary, EOT) and evaluation.

Two kinds of file. Sentencepiece models: those of train_sentencepiece give every text back (no normalisation,
no dummy prefix, bytes for rare characters). Hugging Face's tokenizer.json: read by gigatoken where its ids
are those of the `tokenizers` package; for GPT-NeoX they are, on 1,895 real and adversarial pages.
"""

import hashlib
import io
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple, Protocol

import awkward as ak  # type: ignore[import-untyped]  # ships no types
import gigatoken
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import sentencepiece
import tokenizers

from lakeloom.lakehouse.errors import BadInput, ConfigError

log = logging.getLogger(__name__)

EOT = "<|endoftext|>"
# The first of these in a tokenizer.json ends a document: GPT-NeoX and GPT-2, Llama 3, Llama 2.
_ENDS = (EOT, "<|end_of_text|>", "</s>")
# Where readers of tokenizer.json differ: runs of spaces, combining marks, digits, special tokens in a text.
_PROBE = [
    "",
    "Don't  stop\t\tat 12,345.67   or\n\n \n     indented = f(x)  # caf\u00e9 cafe\u0301 na\u00efve",
    "\u4e2d\u6587\u3002\u0440\u0443\u0441\u0441\u043a\u0438\u0439 \u0e44\u0e17\u0e22",
    "\U0001f600\U0001f468\u200d\U0001f469",
    "\u00a0\u2003x\r\n\x00\x7f \ufb01 \u212b",
    f"a{EOT} b </s><unk> \u2581c" + " " * 40,
]
# Sentencepiece writes a space as this character, so that the character itself would come back as a space.
_SPACE_MARK = "\u2581"
_MAX_LINE = 4096


@dataclass(frozen=True)
class TokenizerConfig:
    """The config group `tokenizer`: a file; sentencepiece without a path is a model of the pool."""

    kind: str  # sentencepiece, tokenizer_json, file: either
    path: str
    vocab_size: int
    sample_chars: int
    seed: int


class Encoded(NamedTuple):
    """Ids of a batch: text i is values[offsets[i]:offsets[i + 1]]."""

    values: npt.NDArray[np.uint32]
    offsets: npt.NDArray[np.int64]


class _Backend(Protocol):
    def encode(self, texts: list[str]) -> Encoded: ...
    def encode_arrow(self, texts: pa.StringArray) -> Encoded: ...  # none is null
    def decode(self, ids: list[int]) -> str: ...


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer file: `sha` is its SHA-256, ids are below `vocab_size`, `eot` ends a document."""

    path: Path
    sha: str
    kind: str  # sentencepiece, tokenizer_json
    vocab_size: int
    eot: int
    _backend: _Backend = field(repr=False, compare=False)

    @classmethod
    def load(cls, path: Path) -> "Tokenizer":
        """Read a sentencepiece .model or a tokenizer.json, told apart by content; else a ConfigError."""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ConfigError(f"no readable tokenizer file {path}: {error.strerror}") from error
        sha = hashlib.sha256(content).hexdigest()
        if content.lstrip()[:1] == b"{":
            return cls(path, sha, "tokenizer_json", *_load_json(content, path))
        return cls(path, sha, "sentencepiece", *_load_sentencepiece(content, path))

    @property
    def dtype(self) -> str:
        """The smallest of uint16 and uint32 that holds every id."""
        return "uint16" if self.vocab_size <= 1 << 16 else "uint32"

    def encode(self, text: str) -> list[int]:
        """Ids of one text, without special tokens around it."""
        return [int(value) for value in self._backend.encode([text]).values]

    def encode_batch(self, texts: pa.StringArray) -> Encoded:
        """Ids of every text, without special tokens around them; null has none. Uses one thread."""
        encoded = self._backend.encode_arrow(pc.fill_null(texts, "") if texts.null_count else texts)
        if len(encoded.values) and int(encoded.values.max()) >= self.vocab_size:
            raise BadInput(f"{self.path} gave id {encoded.values.max()}, its vocabulary has {self.vocab_size}")
        return encoded

    def decode(self, ids: Sequence[int]) -> str:
        """Text of the ids; special tokens such as EOT give none."""
        return self._backend.decode([int(value) for value in ids])


@cache
def loaded(path: Path, sha: str) -> Tokenizer:
    """A tokenizer, read once a process; every executor must see the file that the driver saw."""
    tokenizer = Tokenizer.load(path)
    if tokenizer.sha != sha:
        raise ConfigError(f"{path} has SHA-256 {tokenizer.sha} here, {sha} where the job started")
    return tokenizer


def train_sentencepiece(texts: Iterable[str], vocab_size: int) -> bytes:
    """A BPE model file of exactly vocab_size pieces; the same texts in the same order give the same bytes.

    20 MB of web text take 1.5 s. Id 0 is EOT, a control piece: "<|endoftext|>" as text of a page is not it.
    """
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_lines(texts),
            model_writer=model,
            model_type="bpe",
            vocab_size=vocab_size,
            eos_id=0,
            eos_piece=EOT,
            unk_id=1,
            bos_id=-1,
            pad_id=-1,
            byte_fallback=True,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            add_dummy_prefix=False,
            allow_whitespace_only_pieces=True,
            split_digits=True,
            max_sentence_length=4 * _MAX_LINE,
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise ConfigError(f"no sentencepiece model of {vocab_size} pieces from this sample: {error}") from error
    return model.getvalue()


def _lines(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        for line in text.replace(_SPACE_MARK, "\n").split("\n"):
            for start in range(0, len(line), _MAX_LINE):
                yield line[start : start + _MAX_LINE]


@dataclass(frozen=True)
class _SentencePiece:
    model: sentencepiece.SentencePieceProcessor
    mark: npt.NDArray[np.int32]  # the three byte pieces of the space mark; empty in a model without byte pieces

    def encode(self, texts: list[str]) -> Encoded:
        found: list[npt.NDArray[np.int32]] = self.model.encode_as_numpy(texts, num_threads=1)
        if len(self.mark):
            for number, text in enumerate(texts):
                if _SPACE_MARK in text:
                    found[number] = self._marked(text)
        return _joined(found)

    def encode_arrow(self, texts: pa.StringArray) -> Encoded:
        return self.encode(texts.to_pylist())

    def _marked(self, text: str) -> npt.NDArray[np.int32]:
        parts: list[npt.NDArray[np.int32]] = self.model.encode_as_numpy(text.split(_SPACE_MARK), num_threads=1)
        return np.concatenate([parts[0], *[ids for part in parts[1:] for ids in (self.mark, part)]])

    def decode(self, ids: list[int]) -> str:
        return str(self.model.decode(ids))


@dataclass(frozen=True)
class _HuggingFace:
    reference: tokenizers.Tokenizer

    def encode(self, texts: list[str]) -> Encoded:
        found = self.reference.encode_batch(texts, add_special_tokens=False)
        return _joined([np.array(one.ids, np.int32) for one in found])

    def encode_arrow(self, texts: pa.StringArray) -> Encoded:
        return self.encode(texts.to_pylist())

    def decode(self, ids: list[int]) -> str:
        return self.reference.decode(ids, skip_special_tokens=True)


@dataclass(frozen=True)
class _GigaToken:
    fast: gigatoken.Tokenizer
    slow: _HuggingFace

    def encode(self, texts: list[str]) -> Encoded:
        return self._encode(texts) if texts else _joined([])

    def encode_arrow(self, texts: pa.StringArray) -> Encoded:
        """From Arrow's own buffers: no Python string a text."""
        if not len(texts):
            return _joined([])
        _, ends, content = texts.buffers()
        offsets = np.frombuffer(ends, np.int32, len(texts) + 1, 4 * texts.offset).astype(np.int64)
        chars = np.frombuffer(content, np.uint8) if content else np.empty(0, np.uint8)
        inner = ak.contents.NumpyArray(chars, parameters={"__array__": "char"})
        return self._encode(
            ak.Array(ak.contents.ListOffsetArray(ak.index.Index64(offsets), inner, parameters={"__array__": "string"}))
        )

    def _encode(self, texts: "list[str] | ak.Array") -> Encoded:
        # One thread: the tasks of an executor share its cores, and the thread pool doesn't survive a fork.
        found = self.fast.encode_batch(texts, parallel=False).layout
        offsets = np.asarray(found.offsets.data, np.int64)
        return Encoded(np.asarray(found.content.data, np.uint32)[offsets[0] : offsets[-1]], offsets - offsets[0])

    def decode(self, ids: list[int]) -> str:
        return self.slow.decode(ids)


def _joined(found: Sequence[npt.NDArray[np.int32]]) -> Encoded:
    values = np.concatenate([np.empty(0, np.int32), *found]).astype(np.uint32)
    return Encoded(values, _offsets(np.array([len(ids) for ids in found], np.int64)))


def _offsets(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


def _load_sentencepiece(content: bytes, path: Path) -> tuple[int, int, _Backend]:
    if not content:  # sentencepiece takes it for a model without pieces
        raise ConfigError(f"{path} is empty; expected a sentencepiece model or a tokenizer.json")
    try:
        model = sentencepiece.SentencePieceProcessor(model_proto=content)
    except RuntimeError as error:
        raise ConfigError(f"{path} is no sentencepiece model and no tokenizer.json: {error}") from error
    if model.eos_id() < 0:
        raise ConfigError(f"sentencepiece model {path} has no end-of-sentence piece to end documents with")
    pieces = [model.piece_to_id(f"<0x{byte:02X}>") for byte in _SPACE_MARK.encode()]
    mark = np.array([] if model.unk_id() in pieces else pieces, np.int32)
    return model.get_piece_size(), model.eos_id(), _SentencePiece(model, mark)


def _load_json(content: bytes, path: Path) -> tuple[int, int, _Backend]:
    try:
        reference = tokenizers.Tokenizer.from_str(content.decode())
    except Exception as error:  # the only class that the tokenizers package raises
        raise ConfigError(f"{path} is no tokenizer.json that the tokenizers package reads: {error}") from error
    vocabulary = reference.get_vocab(with_added_tokens=True)
    ends = [vocabulary[end] for end in _ENDS if end in vocabulary]
    if not ends:
        raise ConfigError(f"{path} has no token that ends a document; looked for {', '.join(_ENDS)}")
    return max(vocabulary.values()) + 1, ends[0], _fastest(content, path, _HuggingFace(reference))


def _fastest(content: bytes, path: Path, slow: _HuggingFace) -> _Backend:
    """gigatoken where it reads the file and agrees on the probe, else the reference itself."""
    try:
        fast = _GigaToken(gigatoken.Tokenizer.from_json(content), slow)
        found, expected = fast.encode(_PROBE), slow.encode(_PROBE)
    except (ValueError, RuntimeError, NotImplementedError) as error:
        log.warning("%s: gigatoken can't read it (%s); the tokenizers package does, slower", path, error)
        return slow
    if np.array_equal(found.values, expected.values) and np.array_equal(found.offsets, expected.offsets):
        return fast
    log.warning("%s: gigatoken gives other ids; the tokenizers package is used, slower", path)
    return slow
