"""Every decision of DCLM's own program on 1,895 pages (../shared/oracle): single functions, then the whole chain."""

import hashlib
import json
from collections import defaultdict
from importlib.resources import files
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import zstandard
from omegaconf import OmegaConf

from lakeloom.filters.chain import Chain, Recipe, Result
from lakeloom.filters.length import removed_token_ratio
from lakeloom.filters.textindex import TextIndex

pytestmark = pytest.mark.slow  # sixty runs over 15 MB of text

Page = dict[str, Any]
Steps = list[dict[str, Any]]

REPETITION: Steps = [
    {"signal": "repeated_line_ratio", "max": 0.30},
    {"signal": "repeated_paragraph_ratio", "max": 0.30},
    {"signal": "repeated_line_char_ratio", "max": 0.20},
    {"signal": "repeated_paragraph_char_ratio", "max": 0.20},
]
TOP = [
    {"signal": "top_ngram_char_ratio", "n": n, "max": m, "id": f"top{n}"} for n, m in ((2, 0.2), (3, 0.18), (4, 0.16))
]
COVERED = [
    {"signal": "repeated_ngram_char_ratio", "n": n, "max": m, "id": f"n{n}"}
    for n, m in ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.1))
]
HOSTS = [
    *("arxiv.org", "askubuntu.com", "stackoverflow.com", "stackapps.com", "stackexchange.com", "mathoverflow.net"),
    *("exporter.nih.gov", "ncbi.nlm.nih.gov", "github.com", "irclogs.ubuntu.com", "news.ycombinator.com"),
    *("courtlistener.com", "reddit.com", "statmt.org", "uspto.gov", "en.wikipedia.org"),
]


def word_ban(kind: str, **options: object) -> Steps:
    return [{"signal": "num_listed_words", "words_file": kind, "id": kind, "below": 1, **options}]


def phrase(text: str, location: str) -> Steps:
    return [{"edit": "remove_line_phrase", "phrase": text, "location": location, "max_words": 10}]


# DCLM's function and argument set -> the same in our steps. Those with other arguments check the measure itself.
FUNCTIONS: dict[str, Steps] = {
    "url_substring_filter#0": word_ban("strict", ignore=["-", "."]),
    "url_substring_filter#1": word_ban("hard", whole_words=True),
    "url_substring_filter#2": word_ban("soft", whole_words=True, below=2),
    "url_substring_filter#3": [{"signal": "is_listed_host", "hosts": HOSTS, "ignore": ["www"], "max": 0}],
    "url_removal_modifier#0": [{"edit": "remove_urls"}],
    "newline_removal_modifier#0": [{"edit": "limit_newlines", "max_run": 2}],
    "newline_removal_modifier#1": [{"edit": "limit_newlines", "max_run": 1}],
    "newline_removal_modifier#2": [{"edit": "limit_newlines", "max_run": 0}],
    "language_filter#0": [{"signal": "language_score", "language": "en", "above": 0.65}],
    "page_length_filter#0": [{"signal": "num_tokens", "min": 50, "max": 100000}],
    "page_length_filter#1": [{"signal": "num_chars", "min": 1, "max": 190000}],
    "page_length_filter#2": [{"signal": "num_chars", "min": 500, "max": 5000}],
    "word_length_filter#0": [{"signal": "mean_word_length", "min": 3, "max": 10}],
    "word_length_filter#1": [{"signal": "mean_word_length", "min": 4.5, "max": 5.2}],
    "symbol_ratio_filter#0": [{"signal": "symbol_to_word_ratio", "max": 0.1}],
    "symbol_ratio_filter#1": [{"signal": "symbol_to_word_ratio", "max": 0.002}],
    "bullet_count_filter#0": [{"signal": "bullet_line_ratio", "max": 0.9}],
    "bullet_count_filter#1": [{"signal": "bullet_line_ratio", "max": 0.05}],
    "ellipsis_count_filter#0": [{"signal": "ellipsis_line_ratio", "max": 0.3}],
    "ellipsis_count_filter#1": [{"signal": "ellipsis_line_ratio", "max": 0.01}],
    "alphabetic_word_ratio_filter#0": [{"signal": "unalphabetic_word_ratio", "max": 0.2}],
    "alphabetic_word_ratio_filter#1": [{"signal": "unalphabetic_word_ratio", "max": 0.03}],
    "stop_word_filter#0": [{"signal": "num_stop_words", "min": 2}],
    "stop_word_filter#2": [{"signal": "num_stop_words", "min": 60}],
    "massive_web_repetition_filters#0": [*REPETITION, *TOP, *COVERED],
    "repetition_filter#0": REPETITION[:1],
    "repetition_filter#1": REPETITION[1:2],
    "repetition_filter#2": REPETITION[2:3],
    "repetition_filter#3": REPETITION[3:4],
    **{f"repetition_filter#{number}": [step] for number, step in enumerate([*TOP, *COVERED], 4)},
    "repetition_filter#14": [{"signal": "repeated_ngram_char_ratio", "n": 3, "max": 0.05}],
    "repetition_filter#15": [{"signal": "top_ngram_char_ratio", "n": 6, "max": 0.01}],
    "uppercase_ratio_line_modifier#0": [{"edit": "drop_uppercase_lines", "max_ratio": 0.5}],
    "uppercase_ratio_line_modifier#1": [{"edit": "drop_uppercase_lines", "max_ratio": 0.08}],
    "numeric_ratio_line_modifier#0": [{"edit": "drop_numeric_lines", "max_ratio": 0.999999}],
    "numeric_ratio_line_modifier#1": [{"edit": "drop_numeric_lines", "max_ratio": 0.05}],
    "counter_line_modifier#0": [{"edit": "drop_counter_lines"}],
    "line_length_modifier#0": [{"edit": "drop_short_lines", "min_words": 2}],
    "line_length_modifier#1": [{"edit": "drop_short_lines", "min_words": 5}],
    "substring_line_modifier#0": phrase("items in cart", "any"),
    "substring_line_modifier#1": phrase("Read more...", "suffix"),
    "substring_line_modifier#2": phrase("Sign-in", "prefix"),
}
VALUES = {  # enrichers: function, key of the value, our signal
    "word_counter_enricher#0": ("previous_word_count", {"signal": "num_tokens"}),
    "detect_lang_whole_page_enricher#0": (
        "language_id_whole_page_fasttext",
        {"signal": "language_score", "language": "en"},
    ),
}


def rows(path: Path) -> list[Page]:
    with path.open("rb") as packed:
        text = zstandard.ZstdDecompressor().stream_reader(packed).read().decode()
    return [json.loads(line) for line in text.split("\n") if line]


@pytest.fixture(scope="module")
def pages(shared: Path) -> list[Page]:
    return rows(shared / "oracle" / "pages.jsonl.zst")


@pytest.fixture(scope="module")
def decisions(shared: Path) -> dict[str, dict[str, Page]]:
    """Function and argument set -> page -> row."""
    found: dict[str, dict[str, Page]] = defaultdict(dict)
    for row in rows(shared / "oracle" / "dclm.jsonl.zst"):
        found[row["fn"]][row["id"]] = row
    return found


def apply(steps: Steps, pages: list[Page], shared: Path) -> Result:
    lists = shared / "data" / "banlists"
    made = [
        {**step, "words_file": str(lists / f"refinedweb_banned_words_{step['words_file']}_reverse_engineered.txt")}
        if "words_file" in step
        else step
        for step in steps
    ]
    columns = {key: pa.array([page[key] for page in pages], pa.string()) for key in ("id", "url", "text")}
    return Chain(Recipe.from_config({"name": "oracle", "steps": made})).apply(pa.record_batch(columns))


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_one_function(function: str, pages: list[Page], decisions: dict[str, dict[str, Page]], shared: Path) -> None:
    result = apply(FUNCTIONS[function], pages, shared)
    wrong = []
    for page, text in zip(pages, result.text.to_pylist(), strict=True):
        row = decisions[function][page["id"]]
        expected = None if row["result"] == "drop" else row.get("text_sha256", sha(page["text"]))
        if expected != (None if text is None else sha(text)):
            wrong.append(page["id"])
    assert len(pages) > 1000
    assert wrong == []


@pytest.mark.parametrize("function", VALUES)
def test_one_value(function: str, pages: list[Page], decisions: dict[str, dict[str, Page]], shared: Path) -> None:
    key, step = VALUES[function]
    signals = apply([step], pages, shared).signals.to_pylist()
    for page, measured in zip(pages, signals, strict=True):
        expected = decisions[function][page["id"]]["values"][key]
        if isinstance(expected, dict):
            expected = expected.get("en", 0.0)
        assert measured[0][1] == pytest.approx(expected, abs=1e-5), page["id"]


def test_removed_words(pages: list[Page], decisions: dict[str, dict[str, Page]]) -> None:
    known = decisions["word_removal_ratio_filter#0"]
    before = pa.array([float(known[page["id"]]["page_in"]["previous_word_count"]) for page in pages])
    ratios = removed_token_ratio(TextIndex.of(pa.array([page["text"] for page in pages])), since=before).to_pylist()
    kept = [ratio is not None and ratio <= 0.05 for ratio in ratios]
    assert kept == [known[page["id"]]["result"] == "keep" for page in pages]


def test_the_whole_chain(pages: list[Page], shared: Path) -> None:
    recipe = OmegaConf.create((files("lakeloom.conf") / "recipe" / "refinedweb.yaml").read_text())
    steps = OmegaConf.to_container(recipe.steps)
    assert isinstance(steps, list)
    bans = [step for number in (0, 1, 2) for step in FUNCTIONS[f"url_substring_filter#{number}"]]
    result = apply([*bans, *steps], pages, shared)
    chain = rows(shared / "oracle" / "chain.jsonl.zst")
    known = {row["id"]: row for row in chain if row["chain"] == "dclm_baseline_refinedweb+lid.ftz"}
    wrong = [
        page["id"]
        for page, text in zip(pages, result.text.to_pylist(), strict=True)
        if known[page["id"]]["final_sha256"] != (None if text is None else sha(text))
    ]
    assert result.error.null_count == len(pages) == len(known)
    assert sum(row["final_sha256"] is not None for row in known.values()) > 500
    assert wrong == []
