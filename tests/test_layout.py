"""What docs/explanation.md promises of the layout, checked on the files: folders, imports, names, and the wheel."""

import ast
import importlib.util
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("conf", "evaluate", "filters", "jobs", "lakehouse", "train")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

SPARK = {"pyspark", "delta"}
# Package -> packages of ours and of others that it must not import.
FORBIDDEN = {
    "lakehouse": {"lakeloom.filters", "lakeloom.jobs", "lakeloom.train", "lakeloom.evaluate", "torch", "mlflow"},
    "filters": {"lakeloom.jobs", "lakeloom.train", "lakeloom.evaluate", "torch", "mlflow"} | SPARK,
    "train": {"lakeloom.jobs", "lakeloom.evaluate", "lakeloom.filters"} | SPARK,
    "evaluate": {"lakeloom.jobs", "lakeloom.filters"} | SPARK,
}
# The lakehouse's only modules that may import Spark.
SPARK_MODULES = {"session.py", "store.py", "sources.py", "shard_source.py"}


def imports(path: Path) -> list[tuple[str, bool]]:
    """Every module that a file imports, and whether at its top."""
    tree = ast.parse(path.read_text())
    top = {id(node) for node in tree.body}
    found = list[tuple[str, bool]]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, id(node) in top) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found += [(f"{node.module}.{alias.name}", id(node) in top) for alias in node.names]
    return found


def reaches(name: str, forbidden: set[str]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in forbidden)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    forbidden = FORBIDDEN.get(package, set())
    if package == "lakehouse" and path.name not in SPARK_MODULES:
        forbidden = forbidden | (SPARK - ({"pyspark"} if path.name == "jars.py" else set()))
    assert [name for name, _ in imports(path) if reaches(name, forbidden)] == []
    if package == "jobs":  # an ingest must not wait for torch
        heavy = {"torch", "mlflow", "lm_eval", "deepspeed"}
        assert [name for name, is_top in imports(path) if is_top and reaches(name, heavy)] == []


def test_code_folders_are_no_packages_by_themselves() -> None:
    # With an __init__.py, evaluate/ would hide Hugging Face's package of that name, which lm-eval needs.
    assert [package for package in PACKAGES if (ROOT / package / "__init__.py").exists()] == ["conf"]


def test_no_module_has_a_name_of_the_standard_library() -> None:
    assert [str(path) for path in MODULES if path.stem in sys.stdlib_module_names] == []


@pytest.mark.parametrize("banned", ["sparkContext", "._jvm", ".rdd", "monotonically_increasing_id", "shell=True"])
def test_calls_that_clusters_refuse_or_that_run_foreign_code(banned: str) -> None:
    assert [str(path) for path in MODULES if banned in path.read_text()] == []


def test_nothing_reads_pickles() -> None:
    unsafe = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "torch.load"}
    assert [str(path) for path in MODULES if any(reaches(name, unsafe) for name, _ in imports(path))] == []
    # DCLM's checkpoints are pickles: read in one place, for tensors only.
    calls = [(path.name, call) for path in MODULES for call in re.findall(r"torch\.load\(.*", path.read_text())]
    assert [name for name, _ in calls] == ["openlm.py"]
    assert all("weights_only=True" in call for _, call in calls)


def test_make_runs_modules_that_exist() -> None:
    named = set(re.findall(r"\(RUN\) (lakeloom[\w.]+)", (ROOT / "Makefile").read_text()))
    assert "lakeloom.jobs.oracle_ingest" in named
    assert [name for name in sorted(named) if importlib.util.find_spec(name) is None] == []


def test_hugging_faces_evaluate_is_not_ours() -> None:
    assert callable(importlib.import_module("evaluate").load)


@pytest.mark.slow
def test_the_wheel_imports_from_a_zip(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {f"lakeloom/{path.relative_to(ROOT)}" for path in MODULES} <= names
    assert "lakeloom/conf/config.yaml" in names
    assert "lakeloom/evaluate/tasks.csv" in names
    shipped = wheel.with_suffix(".zip")
    wheel.rename(shipped)
    code = "import lakeloom.filters.chain, lakeloom.lakehouse.warc as w; print(w.__file__)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = [{str(shipped)!r}, *{sys.path!r}]; {code}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith(str(shipped)), done.stderr
