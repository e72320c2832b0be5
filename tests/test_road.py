"""The road as users walk it: the demo at a small size, and every command that README and docs/ show."""

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from pyspark.sql import SparkSession

from lakeloom.jobs import cli, filters_page, reference
from lakeloom.lakehouse.store import Lakehouse, LakehouseConfig
from tests.lakehouse.test_warc import PROSE, archive

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(1800)]  # the demo alone is some minutes

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SMALL = [
    "pool.max_pages=300",
    "choose.holdout_share=0.1",
    "tokenizer.vocab_size=600",
    "scale=test",
    "evaluate.holdout_limit=5",
    "fit_classifier.buckets=1000",
]


def shown(page: Path) -> list[str]:
    """The commands of a page's bash blocks; text blocks need hardware or addresses that a test has not."""
    blocks = re.findall(r"^```bash\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line and not line.startswith("#")]


COMMANDS = [(page.name, line) for page in PAGES for line in shown(page)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder with what the pages tell their readers to have."""
    folder = tmp_path_factory.mktemp("home")
    folder.joinpath("my-archives").mkdir()
    folder.joinpath("my-archives", "one.warc.gz").write_bytes(archive([PROSE.encode()] * 3))
    folder.joinpath("my-jsonl").mkdir()
    rows = [f'{{"text": "Page {nth}.", "url": "https://loom.example/{nth}"}}\n' for nth in range(9)]
    folder.joinpath("my-jsonl", "one.jsonl").write_text("".join(rows))
    items = folder / "local_data" / "gpqa_data"
    items.mkdir(parents=True)
    question = {
        "query": "What is the name of the river that runs past the mill?",
        "choices": ["Loom", "Lake"],
        "gold": 0,
    }
    items.joinpath("gpqa_main.jsonl").write_text(json.dumps(question))
    recipe = (ROOT / "conf" / "recipe" / "refinedweb.yaml").read_text()
    folder.joinpath("mine.yaml").write_text(recipe.replace("name: refinedweb", "name: mine").replace("0.65", "0.5"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def lakeloom(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    return int(str(ended.value.code))


@pytest.fixture(scope="module")
def demo(spark: SparkSession, home: Path) -> Lakehouse:
    assert lakeloom("demo", *SMALL) == 0
    return Lakehouse(spark, LakehouseConfig(str(home / "data"), ""))


def test_the_demo_scores_two_datasets_of_one_pool(demo: Lakehouse, home: Path) -> None:
    scores = demo.read("gold.scores")
    values = {(row["dataset"], row["task"]): row["value"] for row in scores.where("value is not null").collect()}
    for dataset in ("raw", "refinedweb"):
        for holdout in ("raw", "refinedweb"):
            assert 0.5 < values[dataset, f"bpb/{holdout}"] < 9
    assert scores.where("task = 'arc_easy' and value is null and absent_reason is not null").count() == 2
    page = (home / "data" / "report" / "index.html").read_text()
    assert "refinedweb" in page and "<svg" in page
    assert (home / "data" / "mlflow.db").exists()


def test_no_row_is_lost_on_the_way(demo: Lakehouse) -> None:
    pages = demo.read("bronze.pages").count()
    documents = demo.read("silver.documents")
    assert {row["recipe"]: row["count"] for row in documents.groupBy("recipe").count().collect()} == {
        "raw": pages,
        "refinedweb": pages,
    }
    first = demo.read("ops.funnel").where("step_number = 0").first()
    assert first is not None and first["rows_in"] == pages


def test_again_the_demo_finds_all_of_it(demo: Lakehouse, capsys: pytest.CaptureFixture[str]) -> None:
    names = (
        "bronze.pages",
        "silver.documents",
        "silver.clusters",
        "gold.corpus",
        "gold.shards",
        "gold.scores",
        "ops.funnel",
    )
    before = {name: demo.version(name) for name in names}
    assert lakeloom("demo", *SMALL) == 0
    assert {name: demo.version(name) for name in names} == before
    printed = capsys.readouterr().out
    assert "refinedweb" in printed and "xdg-open" in printed


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=[f"{page}:{line[:60]}" for page, line in COMMANDS])
def test_commands_of_the_documentation(demo: Lakehouse, home: Path, page: str, command: str) -> None:
    program, *words = shlex.split(command)
    if program == "lakeloom":
        assert lakeloom(*words, *(SMALL if words and "--help" not in words else [])) == 0
    elif program == "make":
        make = shutil.which("make")
        assert make is not None
        done = subprocess.run([make, "-n", *words], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    else:
        assert program in ("git", "cd"), f"{page}: no way to test {command!r}"


def test_the_reference_is_what_the_code_says() -> None:
    assert (ROOT / "docs" / "reference.md").read_text() == reference.markdown(), "run make reference"
    assert (ROOT / "docs" / "filters.md").read_text() == filters_page.markdown(), "run make reference"


class Widgets:
    """dbutils.widgets with answers given beforehand."""

    def __init__(self, answers: dict[str, str]) -> None:
        self.answers = answers

    def text(self, name: str, default: str) -> None:
        self.answers.setdefault(name, default)

    def get(self, name: str) -> str:
        return self.answers[name]


@pytest.mark.parametrize("notebook", sorted((ROOT / "notebooks").glob("*.py")), ids=lambda path: path.stem)
def test_notebooks_run_cell_by_cell(demo: Lakehouse, notebook: Path) -> None:
    source = notebook.read_text()
    assert source.startswith("# Databricks notebook source\n")
    shown: list[object] = []
    widgets = Widgets({"root": demo.cfg.root})
    scope = {"dbutils": SimpleNamespace(widgets=widgets), "spark": demo.spark, "display": shown.append}
    for cell in source.split("# COMMAND ----------"):
        exec(compile(cell, notebook.name, "exec"), scope)  # noqa: S102 (our own notebooks)
    assert shown
