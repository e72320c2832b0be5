"""A wrong file of a step stops the recipe with one line; it doesn't drop every page."""

from pathlib import Path

import pyarrow as pa
import pytest

from lakeloom.filters.chain import Chain, Recipe
from lakeloom.lakehouse.errors import ConfigError
from tests.filters.models import Kind, model_file

STEPS: list[dict[str, object]] = [
    {"signal": "has_phrase", "phrases_file": "FILE"},
    {"signal": "num_listed_words", "words_file": "FILE"},
    {"signal": "is_listed_host", "hosts_file": "FILE"},
    {"signal": "high_quality_probability", "model_file": "FILE"},
    {"signal": "letters_per_token", "tokenizer": "FILE"},
    {"edit": "remove_urls", "domains_file": "FILE"},
    {"mapper": "detect_languages", "model": "fasttext", "key": "languages", "model_file": "FILE"},
]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("content", ["binary", "model"])
def test_a_wrong_file_is_named(tmp_path: Path, step: dict[str, object], content: str) -> None:
    path = tmp_path / "wrong"
    path.write_bytes(b"\xff\xfe\x00\x01" * 500)
    if content == "model":  # cut short, of a kind that the library is to read
        path.write_bytes(model_file(path, Kind(loss=4)).read_bytes()[:300])
    row = {key: str(path) if value == "FILE" else value for key, value in step.items()}
    chain = Chain(Recipe.from_config({"name": "mine", "steps": [row]}))
    pages = {"doc_id": ["1", "2"], "url": ["http://a.example/b"] * 2, "text": ["see http://a.example the loom", "b"]}
    batch = pa.record_batch({key: pa.array(value, pa.string()) for key, value in pages.items()})
    with pytest.raises(ConfigError, match=r"wrong(: | is no | can't be read)") as caught:
        chain.apply(batch)
    assert "\n" not in str(caught.value)
