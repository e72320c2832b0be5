"""make oracle DIR=folder: every decision of DCLM's own program in a folder of pages, against ours.

The folder has pages.jsonl.zst and dclm.jsonl.zst, a row a page and function; chain.jsonl.zst and functions.json if
there. All goes through the translation of filters/dclm.py. Exit 1 where a function disagrees on any page, or, if it
splits words by Unicode's rules, on more than one in a thousand.
"""

import hashlib
import json
import math
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import yaml
import zstandard
from rich.console import Console

from lakeloom.filters import dclm
from lakeloom.filters.chain import Chain
from lakeloom.filters.normalizers import NORMALIZERS
from lakeloom.filters.recipe import Recipe
from lakeloom.jobs import screen
from lakeloom.lakehouse.errors import BadInput, LakeloomError
from lakeloom.lakehouse.report import Sheet

Row = dict[str, Any]

_BATCH = 200
_BAR_OF_WORDS = 0.999
_CORE = "core_utils."
_WORD_STEPS = ("top_ngram_char_ratio", "repeated_ngram_char_ratio")


@dataclass(frozen=True)
class Agreement:
    """One function (or chain) on all its pages; `failure` says why it could not run at all."""

    name: str
    num_rows: int
    wrong: tuple[str, ...]  # ids of the pages on which we disagree
    splits_words: bool = False
    failure: str = ""

    @property
    def share(self) -> float:
        """Share of pages on which we agree."""
        return 0.0 if self.failure else 1.0 - len(self.wrong) / self.num_rows

    @property
    def is_enough(self) -> bool:
        """Whether it is above the bar."""
        return self.share >= (_BAR_OF_WORDS if self.splits_words else 1.0)


@dataclass(frozen=True)
class Outcome:
    """What became of one page: keep, drop or error, then its text and other keys, and the step that dropped it."""

    result: str
    text: str | None = None
    keys: Row | None = None
    part_of: str = ""


def rows(path: Path) -> Iterator[Row]:
    """Rows of a .jsonl.zst; lines end at LF only."""
    with path.open("rb") as packed:
        text = zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True).read().decode()
    yield from (json.loads(line) for line in text.split("\n") if line)


def functions(folder: Path, lists: Sequence[Path]) -> Iterator[Agreement]:
    """The agreement of each function and argument set of dclm.jsonl.zst, in the order of the file."""
    pages = {page["id"]: page for page in rows(folder / "pages.jsonl.zst")}
    known: dict[str, list[Row]] = defaultdict(list)
    for row in rows(folder / "dclm.jsonl.zst"):
        known[row["fn"]].append(row)
    for name, decisions in known.items():
        yield _function(name, decisions, pages, lists)


def _function(name: str, decisions: list[Row], pages: dict[str, Row], lists: Sequence[Path]) -> Agreement:
    func, arguments = decisions[0]["func"], decisions[0]["args"]
    if func.startswith(_CORE):
        wrong = [row["id"] for row in decisions if not _is_normal(func, pages[row["id"]], row["values"])]
        return Agreement(name, len(decisions), tuple(wrong))
    is_list = any(isinstance(row.get("page_in", {}).get("text"), str) for row in decisions)
    try:
        recipe = dclm.load([{"func": func, **arguments}], folders=lists, delimiter="\n" if is_list else None)
        given = [_page(pages[row["id"]], row) for row in decisions]
        outcomes = run(recipe, given)
    except LakeloomError as error:
        return Agreement(name, len(decisions), (), failure=str(error))
    compared = zip(decisions, given, outcomes, strict=True)
    wrong = [row["id"] for row, page, outcome in compared if not _agrees(row, page, outcome, recipe.delimiter)]
    return Agreement(name, len(decisions), tuple(wrong), _splits_words(recipe))


def _page(page: Row, row: Row) -> Row:
    """The page as DCLM's function got it; sampling goes by the seed."""
    keys = {key: value for key, value in row.get("page_in", {}).items() if key != "text"}
    return {"id": row.get("seed", page["id"]), "url": page["url"], "text": page["text"], "keys": keys}


def _is_normal(func: str, page: Row, expected: Row) -> bool:
    """Whether a normaliser gives the expected string: of the URL for normalize_url, else of the text."""
    name = func.removeprefix(_CORE)
    made = NORMALIZERS[name](page["url"] if name == "normalize_url" else page["text"])
    return bool(made == expected["value"] if "value" in expected else sha256(str(made)) == expected["sha256"])


def run(recipe: Recipe, pages: Sequence[Row]) -> list[Outcome]:
    """Apply a recipe to pages of id, url, text and keys."""
    chain, outcomes = Chain(recipe), list[Outcome]()
    for start in range(0, len(pages), _BATCH):
        part = pages[start : start + _BATCH]
        columns = {name: pa.array([page[name] for page in part], pa.string()) for name in ("id", "url", "text")}
        columns["keys"] = pa.array([json.dumps(page["keys"]) for page in part], pa.string())
        done = chain.apply(pa.record_batch(columns))
        verdicts = zip(done.dropped_at.to_pylist(), done.error.to_pylist(), strict=True)
        for (step, error), text, keys in zip(verdicts, done.text.to_pylist(), done.keys.to_pylist(), strict=True):
            if step is None:
                outcomes.append(Outcome("keep", text, json.loads(keys or "{}")))
            else:
                outcomes.append(Outcome("drop" if error is None else "error", part_of=recipe.steps[step].part_of))
    return outcomes


def _agrees(row: Row, page: Row, outcome: Outcome, delimiter: str) -> bool:
    """Whether result, text and keys are those of DCLM."""
    if outcome.result != row["result"]:
        return False
    if outcome.result != "keep":
        return True
    keys = {"url": page["url"], **(outcome.keys or {})}
    if row.get("text_removed"):
        has_text = outcome.text is None
    elif row.get("text_is_list"):
        has_text = sha256("\x1f".join((outcome.text or "").split(delimiter))) == row["text_sha256"]
    else:
        has_text = outcome.text is not None and sha256(outcome.text) == row.get("text_sha256", sha256(page["text"]))
    is_gone = not any(key in keys for key in row.get("keys_removed", ()))
    return has_text and is_gone and _same_values(row.get("values", {}), keys)


def _same_values(expected: Row, keys: Row) -> bool:
    """Whether the page has these values; of `content` the hash is known."""
    for key, value in expected.items():
        ours = sha256(keys["content"]) if key == "content" and "content" in keys else keys.get(key)
        if not _is_close(ours, value):
            return False
    return True


def _is_close(ours: object, theirs: object) -> bool:
    """Equal, probabilities up to 1e-5."""
    if isinstance(theirs, dict):
        if not isinstance(ours, dict) or ours.keys() != theirs.keys():
            return False
        return all(_is_close(ours[key], value) for key, value in theirs.items())
    if isinstance(theirs, float) and isinstance(ours, int | float):
        return math.isclose(ours, theirs, abs_tol=1e-5)
    return ours == theirs


def chains(folder: Path, lists: Sequence[Path]) -> Iterator[Agreement]:
    """The agreement of each chain of chain.jsonl.zst: the step that dropped the page, or its text and keys."""
    if not (folder / "chain.jsonl.zst").exists():
        return
    pages = {page["id"]: page for page in rows(folder / "pages.jsonl.zst")}
    known: dict[str, list[Row]] = defaultdict(list)
    for row in rows(folder / "chain.jsonl.zst"):
        known[row["chain"]].append(row)
    for name, decisions in known.items():
        try:
            steps = _described(folder, name) or _shipped(name, decisions)
            recipe = dclm.load(list(steps.values()), folders=lists, name=name)
            outcomes = run(recipe, [{**pages[row["id"]], "keys": {}} for row in decisions])
        except LakeloomError as error:
            yield Agreement(f"chain {name}", len(decisions), (), failure=str(error))
            continue
        compared = zip(decisions, outcomes, strict=True)
        wrong = [row["id"] for row, outcome in compared if not _ends_alike(row, outcome, list(steps), pages[row["id"]])]
        yield Agreement(f"chain {name}", len(decisions), tuple(wrong), _splits_words(recipe))


def _ends_alike(row: Row, outcome: Outcome, numbers: list[int], page: Row) -> bool:
    """Whether the same step dropped the page, by a decision or an error, or its text and keys are the same."""
    dropped = row["dropped_by"]
    if dropped:
        number = numbers[int(outcome.part_of.split()[0])] if outcome.part_of else None
        return (dropped["index"], "error" in dropped) == (number, outcome.result == "error")
    if outcome.result != "keep" or sha256(outcome.text or "") != row["final_sha256"]:
        return False
    return _same_values(row.get("values", {}), {"url": page["url"], **(outcome.keys or {})})


def _described(folder: Path, name: str) -> dict[int, Row]:
    """The steps of a chain by number, from functions.json; none where it doesn't say."""
    path = folder / "functions.json"
    listed = json.loads(path.read_text()).get("chains", []) if path.exists() else []
    found: list[tuple[int, str, Row]] = next((chain["run"] for chain in listed if chain["chain"] == name), [])
    return {number: {"func": func, **arguments} for number, func, arguments in found}


def _shipped(name: str, decisions: list[Row]) -> dict[int, Row]:
    """The steps that ran, of the pipeline in conf/dclm; with "+blingfire" its nltk steps use BlingFire."""
    pipeline, _, variant = name.partition("+")
    path = files("lakeloom.conf") / "dclm" / f"{pipeline}.yaml"
    if not path.is_file():
        raise BadInput(f"no pipeline {pipeline!r} in conf/dclm, and functions.json has no such chain")
    steps = cast(list[Row], yaml.safe_load(path.read_text())[0]["steps"])
    for step in steps if variant == "blingfire" else ():
        if step.pop("tokenizer_lang", None):
            step["tokenizer"] = "blingfire"
    return {number: steps[number] for number in sorted({step[0] for row in decisions for step in row["steps"]})}


def _splits_words(recipe: Recipe) -> bool:
    """Whether a step splits words by Unicode's rules."""
    return any(step.name in _WORD_STEPS or ("model", "uniseg") in step.parameters for step in recipe.steps)


def sha256(text: str) -> str:
    """Hex digest of the UTF-8 text."""
    return hashlib.sha256(text.encode()).hexdigest()


def sheet(found: Sequence[Agreement]) -> Sheet:
    """Function, rows, agreements, percent, the first ids that disagree."""
    lines = tuple(
        (
            one.name,
            one.num_rows,
            0 if one.failure else one.num_rows - len(one.wrong),
            f"{100 * one.share:.2f}{'' if one.is_enough else ' !'}",
            one.failure or " ".join(one.wrong[:5]),
        )
        for one in found
    )
    return Sheet("agreement with DCLM", ("function", "rows", "agree", "percent", "first to disagree"), lines)


def main(folder: str, *lists: str) -> int:
    """Print the agreement of all functions and chains; the exit code."""
    given = Path(folder)
    if not (given / "dclm.jsonl.zst").is_file():
        raise BadInput(f"{folder} has no dclm.jsonl.zst; DIR is a folder with pages, dclm and chain .jsonl.zst")
    places = [*map(Path, lists), given, given / "banlists", given.parent / "data" / "banlists"]
    found = [*functions(given, places), *chains(given, places)]
    console = Console(width=140)
    screen.show_sheet(console, sheet(found))
    below = [one.name for one in found if not one.is_enough]
    console.print(f"{len(found) - len(below)} of {len(found)} functions and chains are at the bar")
    for name in below:
        console.print(f"below: {name}", markup=False)
    return 1 if below else 0


if __name__ == "__main__":
    try:
        if len(sys.argv) < 2 or not sys.argv[1]:
            sys.stderr.write("usage: make oracle DIR=folder [LISTS=folder of banlists]\n")
            sys.exit(2)
        sys.exit(main(*filter(None, sys.argv[1:])))
    except LakeloomError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.exit(error.exit_code)
