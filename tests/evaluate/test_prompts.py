import io
import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from lakeloom.evaluate import prompts, tasks
from lakeloom.evaluate.tasks import Example, TaskData

Record = dict[str, str | int | list[str] | list[int]]


@pytest.fixture(scope="module")
def expected(shared: Path) -> dict[str, dict[str, Record]]:
    """The prompts that llm-foundry itself made: task -> item -> record."""
    found: dict[str, dict[str, Record]] = defaultdict(dict)
    with (shared / "oracle" / "prompts.jsonl.zst").open("rb") as file:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), "utf-8", newline="\n"):
            record = cast("Record", json.loads(line))
            category = record.get("category")
            place = f"{category}/{record['index']}" if category else str(record["index"])
            found[str(record["task"])][place] = record
    return found


@pytest.mark.parametrize("name", [task.name for task in tasks.choose(["core"])])
def test_prompts_are_llm_foundrys(shared: Path, expected: dict[str, dict[str, Record]], name: str) -> None:
    records = expected[name]
    data = tasks.read(tasks.load()[name], shared / "data" / "eval")
    assert isinstance(data, TaskData)
    built = {prompt.item_id: prompt for prompt in prompts.build(data, len(records))}
    assert built.keys() == records.keys()
    for place, record in records.items():
        prompt = built[place]
        assert prompt.fewshot == record["fewshot"]
        assert list(prompt.contexts) == record["contexts"]
        assert list(prompt.continuations) == record["continuations"]
        assert prompt.gold == record["gold"]
        assert list(prompt.fewshot_rows) == record["fewshot_rows"]


@given(st.integers(1, 40), st.integers(0, 12))
def test_shots_are_other_rows_all_different(num_rows: int, num_shots: int) -> None:
    for index, drawn in enumerate(prompts.fewshot_rows(num_rows, num_shots)):
        assert len(drawn) == len(set(drawn)) <= num_shots
        assert len(drawn) >= min(num_shots, num_rows - 1) - 1
        assert index not in drawn
        assert set(drawn) <= set(range(num_rows))


def test_a_limit_changes_no_prompt_and_spreads_over_categories() -> None:
    rows = tuple(Example((f"q{i}",), (f"a{i}",), 0, "ab"[i % 2]) for i in range(12))
    task = replace(tasks.load()["jeopardy"], num_fewshot=3)
    whole = {prompt.item_id: prompt for prompt in prompts.build(TaskData(task, rows, ""))}
    some = prompts.build(TaskData(task, rows, ""), 4)
    assert len(whole) == 12
    assert [prompt.item_id for prompt in some] == ["a/0", "a/1", "b/0", "b/1"]
    assert all(whole[prompt.item_id] == prompt for prompt in some)


def test_shots_come_from_the_same_category() -> None:
    rows = tuple(Example((f"{name}{i}",), ("x",), 0, name) for i in range(8) for name in "ab")
    task = replace(tasks.load()["jeopardy"], num_fewshot=4)
    for prompt in prompts.build(TaskData(task, rows, "")):
        assert all(line[0] == prompt.category for line in prompt.fewshot.split("\n") if "Answer" not in line)


def test_white_space_is_llm_foundrys() -> None:
    """A leading blank of a choice is kept, so a shot has two; contexts end without any."""
    rows = tuple(Example(("q",), (" yes", "no "), 0, "") for _ in range(2))
    task = replace(tasks.load()["copa"], num_fewshot=1)
    prompt = prompts.build(TaskData(task, rows, ""))[0]
    assert (prompt.fewshot, prompt.contexts, prompt.continuations) == ("q  yes", ("\nq",), (" yes", " no "))


def test_a_schema_shot_shows_the_right_context() -> None:
    rows = (Example(("one", "two"), ("end",), 0, ""), Example(("three", "four"), ("stop",), 1, ""))
    task = replace(tasks.load()["winograd"], num_fewshot=1)
    prompt = prompts.build(TaskData(task, rows, ""))[0]
    assert prompt.options == [("four stop", "\none", " end"), ("four stop", "\ntwo", " end")]
