"""One peer's MinHash of a file of texts, in its own environment (.bench): prints its CPU seconds, text to signatures.

Run by bench_dedup with the name of the peer and the file. All sign runs of 5 words by 112 hashes. What reads the file
and imports the peer is not counted.
"""

import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

_WORD = re.compile(r"\w+")
_NUM_HASHES, _NGRAM, _SEED = 112, 5, 1


def shingles(text: str) -> set[str]:
    """Runs of 5 words in lower case."""
    words = _WORD.findall(text.lower())
    return {" ".join(words[first : first + _NGRAM]) for first in range(max(len(words) - _NGRAM + 1, 1))}


def rensa(texts: Sequence[str]) -> Callable[[], object]:
    """Its way for many texts: one matrix of digests."""
    from rensa import RMinHash  # type: ignore[import-not-found]  # installed in .bench only

    return lambda: RMinHash.digest_matrix_from_token_sets(map(shingles, texts), _NUM_HASHES, _SEED)


def datasketch(texts: Sequence[str]) -> Callable[[], object]:
    """One MinHash a text, its shingles in one batch."""
    from datasketch import MinHash

    def sign() -> None:
        for text in texts:
            signed = MinHash(num_perm=_NUM_HASHES, seed=_SEED)
            signed.update_batch([shingle.encode() for shingle in shingles(text)])

    return sign


def datatrove(texts: Sequence[str]) -> Callable[[], object]:
    """What its signature stage does to each text, without its files."""
    from datatrove.pipeline.dedup.minhash import (  # type: ignore[import-not-found]  # installed in .bench only
        MinhashConfig,
        MinhashDedupSignature,
    )

    folder = TemporaryDirectory()
    stage = MinhashDedupSignature(folder.name, MinhashConfig(n_grams=_NGRAM, num_buckets=14, hashes_per_bucket=8))
    stage.get_signature(stage.get_shingles(texts[0]))  # it loads its tokenizer now

    def sign() -> None:
        for text in texts:
            found = stage.get_shingles(text)
            if found.size:
                stage.get_signature(found)

    return sign


PEERS = {"rensa": rensa, "datasketch": datasketch, "datatrove": datatrove}

if __name__ == "__main__":
    work = PEERS[sys.argv[1]]([json.loads(line)["text"] for line in Path(sys.argv[2]).read_text("utf-8").splitlines()])
    started = time.process_time()
    work()
    sys.stdout.write(f"{time.process_time() - started}\n")
