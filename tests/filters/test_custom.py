"""Users' own functions: only those allowed are imported; lists, splits, bad results and keys that are no JSON."""

import time
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pytest

from lakeloom.filters import dclm
from lakeloom.filters.chain import Chain, Recipe, Result
from lakeloom.lakehouse.errors import ConfigError

MINE = """
def shout(page, mark="!"):
    page["text"] = page["text"].upper() + mark
    page["length"] = len(page["text"])
    return [page]

def halves(page):
    first, _, second = page["text"].partition(" ")
    return [{**page, "text": first}, {**page, "text": second}] if second else [page]

def maker(word):
    return lambda page: [page] if word in page["text"] else []

def backwards(page):
    page["text"] = page["text"][::-1]
    return [page]

def letters(page):
    return [{**page, "text": letter} for letter in page["text"]]

def wrong(page, what):
    return {"list": None, "text": [{"text": 1}], "half": [{"text": "\\ud800"}], "set": [{"text": "a", "k": {1}}]}[what]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "code.py").write_text(MINE)
    return tmp_path


def apply(folder: Path, texts: list[str], *steps: Mapping[str, object]) -> Result:
    names = {str(step["func"]) for step in steps}
    recipe = dclm.load(list(steps), folders=[folder], allow=sorted(names))
    return Chain(recipe).apply(pa.record_batch({"text": pa.array(texts), "url": pa.array(["u"] * len(texts))}))


def test_a_function_of_pages(folder: Path) -> None:
    done = apply(folder, ["a", "b"], {"func": "mine.code.shout", "mark": "?"})
    assert done.text.to_pylist() == ["A?", "B?"]
    assert done.keys.to_pylist() == ['{"length": 2}'] * 2


def test_a_factory(folder: Path) -> None:
    done = apply(folder, ["a", "b"], {"func": "mine.code.maker", "word": "b"})
    assert done.dropped_by.to_pylist() == ["mine.code.maker", None]


def test_parts_of_a_split_page_are_rows_after_the_batch(folder: Path) -> None:
    split = {"func": "mine.code.halves"}
    count = {"func": "page_length_filter", "length_type": "char", "min_length": 2}
    done = apply(folder, ["a bb", "c", "dd ee ff"], {"func": "word_counter_enricher", "key": "n"}, split, split, count)
    assert done.origin.to_pylist() == [0, 1, 2, 0, 2, 2]
    assert done.split_at.to_pylist() == [None, None, None, 1, 1, 2]
    assert done.parent.to_pylist() == [0, 1, 2, 0, 2, 4]
    assert done.text.to_pylist() == [None, None, "dd", "bb", "ee", "ff"]
    assert done.dropped_by.to_pylist() == ["page_length_filter", "page_length_filter", None, None, None, None]
    assert [dict(row).get("page_length_filter") for row in done.signals.to_pylist()] == [1, 1, 2, 2, 2, 2]


def test_a_page_of_very_many_parts_takes_a_time_that_grows_with_them(folder: Path) -> None:
    started = time.process_time()
    done = apply(folder, ["ab" * 20_000, "c"], {"func": "mine.code.letters"})
    assert time.process_time() - started < 5
    assert done.text.to_pylist() == ["a", "c", *["b", "a"] * 19_999, "b"]
    assert set(done.parent.to_pylist()[2:]) == {0}


def test_an_earlier_signal_of_a_split_page_is_that_of_its_parts(folder: Path) -> None:
    steps = [
        {"signal": "num_tokens"},
        {"mapper": "custom", "function": "mine.code.halves", "file": str(folder / "mine/code.py"), "arguments": "{}"},
        {"signal": "removed_token_ratio", "since": "num_tokens"},
    ]
    recipe = Recipe.from_config({"name": "r", "steps": steps}, allow=["mine.code.halves"])
    done = Chain(recipe).apply(pa.record_batch({"text": pa.array(["a b c", "d"])}))
    ratios = [dict(row)["removed_token_ratio"] for row in done.signals.to_pylist()]
    assert ratios == [pytest.approx(2 / 3), 0.0, pytest.approx(1 / 3)]


def test_a_function_between_split_and_join_gets_a_list(folder: Path) -> None:
    steps = (
        {"func": "split_lines_modifier"},
        {"func": "mine.code.backwards"},
        {"func": "join_lines_modifier", "delimiter": "|"},
    )
    assert apply(folder, ["a\nb\nc"], *steps).text.to_pylist() == ["c|b|a"]


@pytest.mark.parametrize("what", ["list", "text", "half", "set"])
def test_a_wrong_result_loses_its_page_alone(what: str, folder: Path) -> None:
    done = apply(
        folder, ["a", "b"], {"func": "mine.code.maker", "word": "b"}, {"func": "mine.code.wrong", "what": what}
    )
    assert done.dropped_by.to_pylist() == ["mine.code.maker", "mine.code.wrong"]
    assert [error is None for error in done.error.to_pylist()] == [True, False]


@pytest.mark.parametrize(
    ("step", "allow", "message"),
    [
        ({"func": "mine.code.shout"}, [], r"mine\.code\.shout is not allowed; to import it, say recipe\.allow="),
        ({"func": "mine.code.shot"}, ["mine.code.shot"], "has no function 'shot'"),
        ({"func": "mine.code.shout", "marks": "!"}, ["mine.code.shout"], "unexpected keyword argument 'marks'"),
        ({"func": "mine.other.fn"}, ["mine.other.fn"], r"no file 'mine/other\.py'"),
        ({"func": ".fn"}, [".fn"], r"a function of your own is folder\.file\.function"),
    ],
)
def test_what_is_refused(step: dict[str, object], allow: list[str], message: str, folder: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        dclm.load([step], folders=[folder], allow=allow)


def test_no_recipe_file_can_allow_code(folder: Path) -> None:
    step = {"mapper": "custom", "function": "f", "file": str(folder / "mine/code.py"), "arguments": "{}"}
    with pytest.raises(ConfigError, match="f is not allowed"):
        Recipe.from_config({"name": "r", "steps": [step]})


def test_nothing_is_imported_that_is_not_allowed(tmp_path: Path) -> None:
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\ndef fn(page): return [page]\n")
    with pytest.raises(ConfigError, match="not allowed"):
        dclm.load([{"func": "evil.fn"}], folders=[tmp_path])
    assert not (tmp_path / "ran").exists()
