"""make oracle: it agrees with DCLM on the shared pages, and it sees every kind of disagreement on made ones."""

import hashlib
import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import pytest
import zstandard
from omegaconf import OmegaConf

from lakeloom.filters.recipe import Recipe
from lakeloom.jobs import oracle_filters
from lakeloom.jobs.oracle_filters import Row, rows, sha256

PAGE = {"id": "p1", "url": "http://a.org/", "text": "one two\n\n\nthree"}
LIMIT = {"func": "newline_removal_modifier", "args": {"max_consecutive": 1}}
SHORT = {"func": "page_length_filter", "args": {"length_type": "word", "min_length": 9}}
COUNT = {"func": "word_counter_enricher", "args": {"key": "n"}}
RIGHT: list[Row] = [
    {"fn": "limit", **LIMIT, "result": "keep", "text_sha256": sha256("one two\nthree")},
    {"fn": "short", **SHORT, "result": "drop"},
    {"fn": "count", **COUNT, "result": "keep", "values": {"n": 3}},
    {"fn": "again", **COUNT, "page_in": {"n": 3}, "result": "error"},
    {"fn": "lines", "func": "split_lines_modifier", "args": {}, "result": "keep", "text_is_list": True,
     "text_sha256": sha256("one two\x1f\x1f\x1fthree")},
    {"fn": "moved", "func": "key_name_modifier", "args": {"old_key": "text", "new_key": "content"}, "result": "keep",
     "text_removed": True, "values": {"content": sha256(PAGE["text"])}},
    {"fn": "hash", "func": "core_utils.hash_text", "args": {}, "result": "value",
     "values": {"value": hashlib.md5(PAGE["text"].encode()).hexdigest()}},  # noqa: S324
]  # fmt: skip
WRONG: list[Row] = [
    {"fn": "text", **LIMIT, "result": "keep"},
    {"fn": "result", **SHORT, "result": "keep"},
    {"fn": "value", **COUNT, "result": "keep", "values": {"n": 4}},
    {"fn": "no error", **COUNT, "result": "error"},
    {"fn": "unknown", "func": "no_such_filter", "args": {}, "result": "keep"},
]
CHAIN = {"chain": "cc_v3_refinedweb_75b", "dropped_by": {"index": 0, "func": "random_sampling_filter"}}


def write(path: Path, lines: Sequence[Row]) -> None:
    packed = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines).encode()
    path.write_bytes(zstandard.ZstdCompressor().compress(packed))


def folder(tmp_path: Path, decisions: Sequence[Row], chain: Sequence[Row] = ()) -> str:
    write(tmp_path / "pages.jsonl.zst", [PAGE])
    write(tmp_path / "dclm.jsonl.zst", [{"id": "p1", **row} for row in decisions])
    if chain:
        write(tmp_path / "chain.jsonl.zst", [{"id": "p1", **row} for row in chain])
    return str(tmp_path)


def test_decisions_that_are_ours_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert oracle_filters.main(folder(tmp_path, RIGHT)) == 0
    assert "7 of 7 functions and chains are at the bar" in capsys.readouterr().out


@pytest.mark.parametrize("row", WRONG, ids=lambda row: row["fn"])
def test_any_other_decision_is_seen(row: Row, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert oracle_filters.main(folder(tmp_path, [*RIGHT[:2], row])) == 1
    assert f"below: {row['fn']}" in capsys.readouterr().out


def test_a_chain_is_compared_by_the_step_that_drops(tmp_path: Path) -> None:
    steps = {"steps": [[0, "random_sampling_filter", "drop"]]}
    kept = {"chain": CHAIN["chain"], "dropped_by": None, "final_sha256": sha256(PAGE["text"]), **steps}
    codes = [oracle_filters.main(folder(tmp_path, RIGHT[:1], [row])) for row in ({**CHAIN, **steps}, kept)]
    assert sorted(codes) == [0, 1]  # the page is drawn or it is not


@pytest.mark.slow  # 126 runs over 15 MB of text, one of them by langdetect
def test_every_function_and_chain_of_dclm(shared: Path) -> None:
    lists = [shared / "data" / "banlists"]
    found = [*oracle_filters.functions(shared / "oracle", lists), *oracle_filters.chains(shared / "oracle", lists)]
    assert len(found) > 120
    assert [(one.name, one.failure, one.wrong[:5]) for one in found if one.failure or one.wrong] == []


@pytest.mark.slow
def test_our_own_recipe_is_dclms_chain(shared: Path) -> None:
    """conf/recipe/refinedweb.yaml, with the URL bans that it leaves out before it."""
    config = OmegaConf.to_container(
        OmegaConf.create((files("lakeloom.conf") / "recipe" / "refinedweb.yaml").read_text())
    )
    assert isinstance(config, dict)
    lists = shared / "data" / "banlists"
    bans = [
        {"signal": "num_listed_words", "id": kind, "words_file": str(path), "below": 1, **options}
        for kind, options in (
            ("strict", {"ignore": ["-", "."]}),
            ("hard", {"whole_words": True}),
            ("soft", {"whole_words": True, "below": 2}),
        )
        for path in lists.glob(f"*_{kind}_*.txt")
    ]
    recipe = Recipe.from_config({"name": "oracle", "steps": [*bans, *config["steps"]]})
    pages = [{**page, "keys": {}} for page in rows(shared / "oracle" / "pages.jsonl.zst")]
    chain = rows(shared / "oracle" / "chain.jsonl.zst")
    known = {row["id"]: row["final_sha256"] for row in chain if row["chain"] == "dclm_baseline_refinedweb+lid.ftz"}
    outcomes = oracle_filters.run(recipe, pages)
    texts = [None if outcome.text is None else sha256(outcome.text) for outcome in outcomes]
    assert [p["id"] for p, text in zip(pages, texts, strict=True) if known[p["id"]] != text] == []
    assert sum(text is not None for text in texts) > 500
