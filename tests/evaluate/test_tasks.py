import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from lakeloom.evaluate import tasks
from lakeloom.evaluate.tasks import Absent, TaskData
from lakeloom.lakehouse.errors import BadInput, ConfigError

ROW = {"query": " Is it? ", "choices": [" yes", "no "], "gold": 1}


def test_the_table_holds_the_benchmark() -> None:
    known = tasks.load()
    assert len(known) == 53
    assert {group: len(tasks.choose([group])) for group in ("core", "extended", "mmlu", "light")} == {
        "core": 22,
        "extended": 53,
        "mmlu": 1,
        "light": 2,
    }
    assert known["arc_easy"].delimiter == "\nAnswer: "
    assert known["copa"].delimiter == " "
    assert [task.name for task in known.values() if task.by_category] == [
        "mmlu_zeroshot",
        "jeopardy",
        "mmlu_fewshot",
        "bbq",
    ]


def test_names_and_groups_are_chosen_once_in_the_tables_order() -> None:
    assert [task.name for task in tasks.choose(["hellaswag_zeroshot", "light"])] == [
        "mmlu_zeroshot",
        "hellaswag_zeroshot",
    ]
    with pytest.raises(ConfigError, match=r"no task or group of tasks 'arc_esy'; nearest: arc_easy"):
        tasks.choose(["arc_esy"])


@pytest.mark.slow
def test_every_present_file_of_the_benchmark_is_read(shared: Path) -> None:
    found = [tasks.read(task, shared / "data" / "eval") for task in tasks.choose(["extended"])]
    absent = {one.task: one.reason for one in found if isinstance(one, Absent)}
    generation = {"triviaqa_sm_sub", "gsm8k_cot", "agi_eval_sat_math_cot", "aqua_cot", "svamp_cot"}
    without_file = {"bigbench_elementary_math_qa", "bbq", "gpqa_main", "gpqa_diamond"}
    assert {name for name, reason in absent.items() if reason == "not yet supported: generation"} == generation
    assert {name for name, reason in absent.items() if reason.startswith("no file ")} == without_file
    assert len(absent) == 9
    assert all(len(one.examples) == one.task.num_rows for one in found if isinstance(one, TaskData))


@pytest.mark.parametrize("place", ["copa.jsonl", "commonsense_reasoning/copa.jsonl.zst", "a/b/copa.jsonl.zst"])
def test_a_file_is_found_plain_or_compressed_in_its_place_or_below(tmp_path: Path, place: str) -> None:
    content = (json.dumps(ROW) + "\n").encode()
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(zstandard.compress(content) if place.endswith("zst") else content)
    sha = hashlib.sha256(content).hexdigest()
    data = tasks.read(replace(tasks.load()["copa"], digests=(sha,)), tmp_path)
    assert isinstance(data, TaskData)
    assert data.sha256 == sha
    assert data.examples == (tasks.Example(("Is it?",), (" yes", "no "), 1, ""),)


def test_gits_blob_id_is_accepted_too(tmp_path: Path) -> None:
    content = (json.dumps(ROW) + "\n").encode()
    (tmp_path / "copa.jsonl").write_bytes(content)
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    assert isinstance(tasks.read(replace(tasks.load()["copa"], digests=("0" * 64, blob)), tmp_path), TaskData)


def test_what_is_missing_or_foreign_is_absent_with_its_reason(tmp_path: Path) -> None:
    copa = tasks.load()["copa"]
    assert tasks.read(copa, None) == Absent("copa", "no task data: evaluate.data is not set")
    missing = tasks.read(copa, tmp_path)
    assert isinstance(missing, Absent)
    assert missing.reason.startswith("no file commonsense_reasoning/copa.jsonl[.zst] in ")
    (tmp_path / "copa.jsonl").write_text(json.dumps(ROW))
    foreign = tasks.read(copa, tmp_path)
    assert isinstance(foreign, Absent)
    assert "is not the file of the benchmark" in foreign.reason


def test_a_folder_that_is_none_is_a_wrong_request(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"evaluate.data: .* is no folder"):
        tasks.read(tasks.load()["copa"], tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("copa.jsonl", b"{}\n", r"copa.jsonl:1: no row of task copa \(fields query, choices\)"),
        ("copa.jsonl", b"nonsense\n", r"copa.jsonl:1: no row of task copa"),
        ("copa.jsonl", json.dumps({**ROW, "gold": 2}).encode(), r"copa.jsonl:1: gold is 2, of 2 choices"),
        ("copa.jsonl", json.dumps({**ROW, "choices": 7}).encode(), r"expected a text or a list of texts"),
        ("copa.jsonl.zst", b"no zstd", r"no readable zstd"),
        ("copa.jsonl.zst", zstandard.compress(json.dumps(ROW).encode() + b"\n")[:-3], r"no readable zstd: Truncated"),
    ],
)
def test_a_broken_file_is_bad_input(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=message):
        tasks.read(replace(tasks.load()["copa"], digests=()), tmp_path)
