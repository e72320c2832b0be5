"""Other keys of a page as signals: what is there, what is missing, and what a step writes for the next."""

import random

import pyarrow as pa
import pytest

from lakeloom.filters import keys
from lakeloom.filters.sampling import random_number
from lakeloom.filters.steps import Page
from lakeloom.filters.textindex import TextIndex


def test_values_and_what_is_missing() -> None:
    pages: list[Page] = [{"score": 2}, {"score": "0.5"}]
    assert keys.page_value(pages, key="score").to_pylist() == [2.0, 0.5]
    assert keys.page_value([{}], key="score", is_required=False).to_pylist() == [None]
    with pytest.raises(KeyError):
        keys.page_value([{}], key="score")


def test_the_best_of_several_languages() -> None:
    pages: list[Page] = [{"l": {"en": 0.9, "de": 0.3}}, {"l": {"fr": 0.9}}, {"l": {}}]
    assert keys.language_probability(pages, key="l", languages=("de", "en")).to_pylist() == [0.9, None, None]
    with pytest.raises(KeyError):
        keys.language_probability([{}], key="l", languages=("en",))


@pytest.mark.parametrize(
    ("page", "options", "ratio"),
    [
        ({"n": 4}, {}, 0.5),
        ({"n": 1}, {}, -1.0),
        ({"n": 0}, {}, None),
        ({"n": 4, "m": 3}, {"after": "m"}, 0.25),
        ({"n": 4}, {"after": "m"}, 0.5),
        ({"n": 4}, {"ignore_punctuation": False}, 0.25),  # a token for the newline
    ],
)
def test_removed_words(page: Page, options: dict[str, object], ratio: float | None) -> None:
    index = TextIndex.of(pa.array(["one\ntwo"]))
    found = keys.removed_word_ratio(index, [page], before="n", **options)  # type: ignore[arg-type]
    assert found.to_pylist() == [ratio]


def test_suffixes_are_of_the_whole_name_and_case_counts() -> None:
    pages: list[Page] = [{"f": "a/b.py"}, {"f": "b.PY"}, {"f": "xMakefile"}, {}]
    assert keys.has_suffix(pages, key="f", suffixes=(".py", "Makefile")).to_pylist() == [1, 0, 1, 0]


@pytest.mark.parametrize(
    ("page", "overwrite", "renamed"),
    [
        ({"content": "c"}, False, {"text": "c"}),
        ({"content": "c", "text": "t"}, False, {"content": "c", "text": "t"}),
        ({"content": "c", "text": "t"}, True, {"text": "c"}),
        ({"text": "t"}, True, {"text": "t"}),
    ],
)
def test_rename_key(page: Page, overwrite: bool, renamed: Page) -> None:
    assert keys.rename_key(dict(page), old="content", new="text", overwrite=overwrite) == [renamed]


def test_a_page_draws_the_same_number_every_time() -> None:
    drawn = random_number(pa.array(["a", "b", None]), salt="/2").to_pylist()
    assert drawn == [random.Random("a/2").random(), random.Random("b/2").random(), None]  # noqa: S311
    assert random_number(pa.array(["a"])).to_pylist() != drawn[:1]
