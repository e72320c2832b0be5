"""What is taken off a prompt, on rows as the benchmark's files have them; ids against those of the prompts."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lakeloom.evaluate import prompts, questions, tasks
from lakeloom.evaluate.tasks import Absent, TaskData, TaskFile
from lakeloom.lakehouse.errors import BadInput
from lakeloom.lakehouse.ids import Json


def read(task: str, *rows: dict[str, Json]) -> list[tuple[str, str, str]]:
    file = TaskFile(Path("file"), tuple(json.dumps(row) for row in rows), "")
    return [(one.item_id, one.text, one.rest) for one in questions.read(tasks.load()[task], file)]


def choice(query: str) -> dict[str, Json]:
    return {"query": query, "choices": ["A", "B"], "gold": 1}


@pytest.mark.parametrize(
    ("query", "text", "rest"),
    [
        ("What is it?", "What is it?", "B"),
        ("Question: What is it?\nAnswer:", "What is it?", "B"),
        ("Roof shingle removal: A man sits on a roof. He", "A man sits on a roof. He", "B"),
        ("Sentence: He left.\nQ: Who left? A:", "He left.\nQ: Who left?", "B"),
        (
            "He said that the end was near: it was not. The rest",
            "He said that the end was near: it was not. The rest",
            "B",
        ),
        ("Question: Which?\nChoices\nA. one\nB. two", "Which?", "\nA. one\nB. two"),
        ("Q: Which?\nChoices:\nA.) one\nB.) two\nAnswer:", "Which?", "\nA.) one\nB.) two\nAnswer:"),
        ("Which?\n'''\nChoices:\na.) no\nb.) yes\nAnswer:", "Which?\n'''", "\na.) no\nb.) yes\nAnswer:"),
        (
            "A story.\n\na. This is no list of choices.\nIt goes on",
            "A story.\n\na. This is no list of choices.\nIt goes on",
            "B",
        ),
        ("", "", "B"),
    ],
)
def test_a_prompts_dress_is_taken_off(query: str, text: str, rest: str) -> None:
    assert read("arc_easy", choice(query)) == [("0", text, rest)]


def test_every_kind_of_task_asks_something() -> None:
    schema: dict[str, Json] = {
        "context_options": ["They met Ann because Ann", "They met Ann because Al"], "continuation": "called.", "gold": 1
    }  # fmt: skip
    assert read("winograd", schema) == [("0", "They met Ann because", "Al called.")]
    assert read("squad", {"context": "Context: C\nQuestion: Q\nAnswer: ", "continuation": "A"}) == [
        ("0", "C\nQuestion: Q", "A")
    ]
    assert read("gsm8k_cot", {"context": "Q: How many?", "answer": "3"}) == [("0", "How many?", "3")]
    with pytest.raises(BadInput, match=r"file:1: no row of task gsm8k_cot \(fields context, answer\)"):
        read("gsm8k_cot", {"context": "Q: How many?"})


def test_ids_are_those_of_the_prompts() -> None:
    rows = [replace_category(choice("q"), name) for name in ("b", "a", "b", "c", "a")]
    for name in ("mmlu_zeroshot", "arc_easy"):
        task = replace(tasks.load()[name], num_fewshot=0)
        file = TaskFile(Path("file"), tuple(json.dumps(row) for row in rows), "")
        built = prompts.build(TaskData(task, tasks.examples(task, file), ""))
        assert sorted(one.item_id for one in built) == sorted(one.item_id for one in questions.read(task, file))
    assert [item for item, _, _ in read("mmlu_zeroshot", *rows)] == ["b/0", "a/0", "b/1", "c/0", "a/1"]


def replace_category(row: dict[str, Json], category: str) -> dict[str, Json]:
    return {**row, "category": category}


@pytest.mark.slow
def test_every_present_task_of_the_benchmark_is_read(shared: Path) -> None:
    folder = shared / "data" / "eval"
    files = [(task, tasks.locate(task, folder)) for task in tasks.choose(["extended"])]
    counts = {
        task.name: len(questions.read(task, file)) - task.num_rows
        for task, file in files
        if not isinstance(file, Absent)
    }
    assert len(counts) == 49 and set(counts.values()) == {0}
