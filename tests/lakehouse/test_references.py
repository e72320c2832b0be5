"""DCLM's reference JSONs are told apart by their keys; a tokenised one has those that the trainer takes, alone."""

from pathlib import Path

import pytest

from lakeloom.lakehouse import references
from lakeloom.lakehouse.errors import BadInput
from lakeloom.lakehouse.ids import Json

# As DCLM's own files are, shortened: exp_data/datasets/tokenized, models and evals.
TOKENIZED: dict[str, Json] = {
    "uuid": "7d2f4b2e-9a8c-4f43-9f0e-0f2f3c1b5a77",
    "name": "c4_original",
    "creation_date": "2024_03_25-20_05_14",
    "dataset_url": "s3://bucket/c4_original/",
    "manifest_url": "s3://bucket/c4_original/manifest.jsonl",
    "sources": [{"uuid": "0d3c0b8a-0f5c-4b8a-8a3b-1f6e9a4c2d10", "name": "c4"}],
    "tokenized": True,
    "tokenizer": "EleutherAI/gpt-neox-20b",
    "num_tokens": 138_000_000_000,
    "size": 310_000_000_000,
    "dcnlp_commit_hash": "a" * 40,
    "dcnlp_diff": "diff",
    "data_key": "json.gz",
    "sampling_yaml": None,
}
MODEL: dict[str, Json] = {
    "uuid": "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed",
    "name": "c4_original-open_lm_1b_swiglutorch",
    "dataset_name": "c4_original",
    "dataset_uuid": TOKENIZED["uuid"],
    "hyperparameters": {"model": "open_lm_1b_swiglutorch", "tokens": 28_795_904_000, "lr": 0.003, "params": 1.4e9},
    "checkpoint_url": "s3://bucket/epoch_6.pt",
    "params_url": "s3://bucket/params.txt",
    "open_lm_args": ["--lr", "0.003"],
    "results": [],
    "failed": False,
    "error": "",
}
EVALUATION: dict[str, Json] = {
    "uuid": "9b2d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4be0",
    "name": "eval/heavy",
    "model": "open_lm_1b_swiglutorch",
    "eval_metrics": {"icl": {"copa": 0.71}, "perplexity": 2.6, "downstream_perpexity": {}},
    "missing tasks": "[]",
    "Core": 0.25,
    "model_uuid": MODEL["uuid"],
}
RAW: dict[str, Json] = {"uuid": "u", "name": "c4", "dataset_url": "s3://b/c4/", "tokenized": False, "data_key": "zst"}
# Sources that are archives, not a folder of texts: by their addresses, or by a file that lists them.
ADDRESSES: dict[str, Json] = {
    "uuid": "3f0c",
    "name": "cc_sample",
    "sources": "paths.txt.gz",
    "tokenized": False,
    "seed": 42,
    "dataset_urls": ["s3://crawl/a.warc.gz", "s3://crawl/b.warc.gz"],
}
LISTED: dict[str, Json] = {
    "uuid": "3f0d",
    "name": "cc_part_1",
    "sources": "paths.txt.gz",
    "tokenized": False,
    "json_path": "s3://lists/part_1.json.gz",
}


@pytest.mark.parametrize(
    ("reference", "kind"),
    [
        (TOKENIZED, "datasets"),
        (MODEL, "models"),
        (EVALUATION, "evaluations"),
        (RAW, "sources"),
        (ADDRESSES, "sources"),
        (LISTED, "sources"),
    ],
)
def test_kinds_are_told_apart(reference: dict[str, Json], kind: str, tmp_path: Path) -> None:
    assert references.kind_of(reference, "x.json") == kind
    path = tmp_path / "x.json"
    path.write_text(references.dump(reference))
    assert references.load(path) == reference


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ({**TOKENIZED, "sha256": "x"}, "keys that DCLM's trainer refuses: sha256"),
        ({key: value for key, value in TOKENIZED.items() if key != "size"}, "a tokenised reference with no size"),
        ({"name": "x"}, "no reference JSON of DCLM's"),
        ({"name": "x", "tokenized": False}, "sources: name, tokenized and one of dataset_url, dataset_urls, json_path"),
    ],
)
def test_what_the_trainer_refuses_is_refused(reference: dict[str, Json], said: str) -> None:
    with pytest.raises(BadInput, match=f"x.json: .*{said}"):
        references.kind_of(reference, "x.json")


def test_references_have_the_folders_of_dclm() -> None:
    untokenized: dict[str, Json] = {**RAW, "sources": [{"uuid": "u", "name": "c4"}]}
    folders = [
        references.folder_of(references.kind_of(one, "x.json"), one)
        for one in (TOKENIZED, RAW, untokenized, MODEL, {**MODEL, "failed": True}, EVALUATION)
    ]
    assert folders == [
        "datasets/tokenized", "datasets/raw_sources", "datasets/untokenized", "models", "failed_models", "evals"
    ]  # fmt: skip


def test_a_uuid_is_made_of_content_alone() -> None:
    first, second = references.content_sha(MODEL), references.content_sha(dict(reversed(MODEL.items())))
    assert first == second != references.content_sha({**MODEL, "failed": True})
    assert references.uuid_of("models", first) == references.uuid_of("models", second)
    assert references.uuid_of("models", first) != references.uuid_of("datasets", first)


def test_a_file_that_is_no_json_is_named(tmp_path: Path) -> None:
    for content in ("{", "[]"):
        (tmp_path / "x.json").write_text(content)
        with pytest.raises(BadInput, match=r"x\.json: (not JSON|expected a JSON object)"):
            references.load(tmp_path / "x.json")


def test_a_text_that_no_table_holds_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"name": "a\\ud800"}')
    with pytest.raises(BadInput, match=r"x\.json: no text: half of a surrogate pair, '\\ud800'"):
        references.load(tmp_path / "x.json")
