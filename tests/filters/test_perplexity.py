"""KenLM's perplexity by its definition, on a model of single pieces whose probabilities are written down.

KenLM has no wheels, so the test runs where somebody compiled it: pip install kenlm.
"""

from pathlib import Path

import pyarrow as pa
import pytest
from sentencepiece import SentencePieceProcessor

from lakeloom.filters.perplexity import kenlm_perplexity, normalized
from lakeloom.filters.textindex import TextIndex
from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.tokens import train_sentencepiece

TEXTS = ["The loom weaves 12 yards.", "the  cloth\nof wool", "", "\u00e9t\u00e9 \u2014 loom", None]


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pieces") / "en.sp.model"
    words = [f"the loom weaves cloth of wool and yards of thread {number}" for number in range(200)]
    path.write_bytes(train_sentencepiece(words, 300))
    return path


def arpa(path: Path, known: dict[str, float]) -> Path:
    """A model of single pieces; log10 of the probability of each, -3 of any other, -0.5 of the end."""
    lines = ["-3\t<unk>", "-99\t<s>", "-0.5\t</s>", "-9\t<none>", *(f"{score}\t{one}" for one, score in known.items())]
    head = f"\\data\\\nngram 1={len(lines)}\nngram 2=1\n\n\\1-grams:\n"
    pair = "\n\n\\2-grams:\n-1\t<s> <none>\n\n\\end\\\n"  # KenLM reads no model without pairs; no text has this one
    path.write_text(head + "\n".join(lines) + pair, "utf-8")
    return path


def test_it_is_ten_to_the_mean_log_score_of_pieces_and_end(pieces: Path, tmp_path: Path) -> None:
    pytest.importorskip("kenlm", reason="kenlm is not installed: it is compiled by pip install kenlm")
    library = SentencePieceProcessor(model_file=str(pieces))
    seen = sorted({piece for text in TEXTS[:2] for piece in library.encode(normalized(str(text)), out_type=str)})
    known = {piece: -1.0 - number / 10 for number, piece in enumerate(seen)}
    model = arpa(tmp_path / "en.arpa", known)
    expected: list[float | None] = []
    for text in TEXTS:
        found = [] if text is None else library.encode(normalized(text), out_type=str)
        total = sum(known.get(piece, -3.0) for piece in found) - 0.5
        expected.append(None if text is None else round(10 ** (-total / (len(found) + 1)), 1))
    index = TextIndex.of(pa.array(TEXTS, pa.string()))
    assert kenlm_perplexity(index, model_file=model, pieces_file=pieces).to_pylist() == expected


def test_a_wrong_file_is_named(pieces: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.bin"
    wrong.write_bytes(b"\x00" * 100)
    index = TextIndex.of(pa.array(["the loom"]))
    with pytest.raises(ConfigError, match=r"wrong\.bin is no model of KenLM's|pip install kenlm"):
        kenlm_perplexity(index, model_file=wrong, pieces_file=pieces)
