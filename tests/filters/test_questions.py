"""Stack Exchange and StarCoder: posts and files of a page to one text."""

import copy

import pytest

from lakeloom.filters import questions, repositories
from lakeloom.filters.steps import Page


def post() -> Page:
    answers = [
        {"text": "<b>no</b>", "score": 1},
        {"text": "maybe"},
        {"text": "yes", "score": 5},
        {"text": "so", "score": 1},
    ]
    return {"question": {"text": "<ol><li>Why?</li></ol>"}, "answers": answers}


def test_lists_and_html_become_text() -> None:
    (listed,) = questions.format_lists(post())
    assert listed["question"] == {"text": "\n*\n*Why?"}
    (plain,) = questions.extract_posts(post())
    assert [plain["question"], plain["answers"][0]["text"]] == [{"text": "Why?"}, "no"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("descending", "order"), [(True, ["yes", "<b>no</b>", "so", "maybe"]), (False, ["maybe", "<b>no</b>", "so", "yes"])]
)
def test_answers_are_sorted_stably(descending: bool, order: list[str]) -> None:
    (page,) = questions.sort_answers(post(), descending=descending)
    assert [answer["text"] for answer in page["answers"]] == order  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ({"question": {"text": "q"}, "answers": [{"text": "a"}, {"text": "b"}]}, "Q: q\nA: a\nA: b"),
        ({"question": {"text": "q"}, "answers": []}, "Q: q\nA: "),
        ({"question": {"text": "q"}}, "Q: q"),
        ({"answers": []}, None),
    ],
)
def test_posts_are_joined(page: Page, text: str | None) -> None:
    made = questions.join_posts(copy.deepcopy(page))
    assert [one["text"] for one in made] == ([] if text is None else [text])
    for one in questions.join_posts(copy.deepcopy(page), remove_posts=True):
        assert one == {"text": text}


def test_a_large_repository_is_split() -> None:
    page: Page = {"text": "t", "repo_name": "r", "files": [1, 2, 3]}
    assert repositories.split_repository(dict(page), max_files=3) == [page]
    parts = repositories.split_repository(dict(page), max_files=2)
    assert parts == [{"repo_name": "r", "files": [1, 2]}, {"repo_name": "r", "files": [3]}]
    assert repositories.split_repository(dict(page), max_files=2, delete_content=False)[1]["text"] == "t"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"metadata_probability": 1.0}, "<repo_name>r<file_sep>a.py\nA<file_sep>b.py\nB"),
        ({"metadata_probability": 0.0}, "<file_sep>A<file_sep>B"),
        ({"metadata_probability": 0.0, "with_sentinels": False}, "A\n\nB"),
    ],
)
def test_files_are_joined(options: dict[str, float], text: str) -> None:
    files = [{"name": "a.py", "text": "A"}, {"path": "b.py", "content": "B"}]
    (page,) = repositories.join_files({"repo_name": "r", "files": files}, **options)  # type: ignore[arg-type]
    assert page["text"] == text
