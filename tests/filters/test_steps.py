"""Steps are found by name, say what they read and what may be set, and refuse anything else before data is read."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest

import lakeloom.filters
import lakeloom.lakehouse
from lakeloom.filters import steps
from lakeloom.lakehouse.errors import ConfigError


def test_a_step_knows_its_inputs_and_parameters() -> None:
    step = steps.step("signal", "num_listed_words", "here")
    assert step.inputs == ("url",)
    assert list(step.parameters) == ["words", "words_file", "whole_words", "ignore", "case_sensitive"]
    assert step.defaults["ignore"] == ()
    assert steps.step("edit", "remove_urls", "here").drops_empty
    assert not steps.step("edit", "limit_newlines", "here").drops_empty


def test_every_step_has_a_docstring_and_known_parameter_types() -> None:
    for kind in ("signal", "edit", "mapper"):
        assert steps.names(kind)
        for name in steps.names(kind):
            step = steps.step(kind, name, "here")
            assert step.function.__doc__, name
            assert set(step.defaults) <= set(step.parameters)


@pytest.mark.parametrize(
    ("kind", "name", "parameters", "message"),
    [
        ("signal", "num_token", {}, "here: no signal 'num_token'; nearest: num_tokens"),
        ("edit", "num_tokens", {}, "here: no edit 'num_tokens'"),
        (
            "edit",
            "limit_newlines",
            {"max_runs": 2},
            "no parameter of edit 'limit_newlines' 'max_runs'; nearest: max_run",
        ),
        ("edit", "limit_newlines", {}, "here: edit 'limit_newlines' needs max_run (a whole number)"),
        ("edit", "limit_newlines", {"max_run": "two"}, "'two' is not a whole number"),
        ("edit", "limit_newlines", {"max_run": True}, "True is not a whole number"),
        ("signal", "top_ngram_char_ratio", {"n": 0}, "0 is not a whole number from 1"),
        ("signal", "is_listed_host", {"hosts": "a.org"}, "'a.org' is not a list, each a word"),
        ("signal", "num_listed_words", {"words_file": "/no/such"}, "no file '/no/such'"),
        ("edit", "drop_uppercase_lines", {"max_ratio": None}, "None is not a number"),
    ],
)
def test_mistakes_are_named(kind: steps.Kind, name: str, parameters: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        steps.step(kind, name, "here").checked(parameters, "here")
    assert message in str(error.value)
    assert str(error.value).startswith("here")


def test_values_come_as_their_type() -> None:
    checked = steps.step("edit", "drop_uppercase_lines", "here").checked({"max_ratio": 1}, "here")
    assert [(name, type(value)) for name, value in checked.items()] == [("max_ratio", float)]
    hosts = steps.step("signal", "is_listed_host", "here").checked({"hosts": ["a.org"]}, "here")
    assert (hosts["hosts"], hosts["ignore"], hosts["hosts_file"]) == (("a.org",), (), None)


def test_two_steps_of_one_name_are_refused() -> None:
    steps.load_all()
    with pytest.raises(ConfigError, match=r"two signals are named 'num_chars': lakeloom\.filters\.length"):

        @steps.signal
        def num_chars(text: pa.StringArray) -> pa.DoubleArray:
            return text


def test_a_step_reads_only_what_a_chain_can_give() -> None:
    with pytest.raises(TypeError, match="'html'"):

        @steps.signal
        def html_length(html: pa.BinaryArray) -> pa.DoubleArray:
            return html


def test_steps_are_found_in_a_zip(tmp_path: Path) -> None:
    archive = tmp_path / "lakeloom.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("lakeloom/__init__.py", "")
        for package in (lakeloom.filters, lakeloom.lakehouse):
            name = package.__name__.rpartition(".")[2]
            packed.writestr(f"lakeloom/{name}/__init__.py", "")
            for module in sorted(Path(next(iter(package.__path__))).glob("*.py")):
                packed.write(module, f"lakeloom/{name}/{module.name}")
    script = (
        "import lakeloom.filters as f; from lakeloom.filters import steps; print(f.__file__, *steps.names('signal'))"
    )
    found = subprocess.run(  # our own interpreter and script
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(archive), "NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout.split()
    assert found[0].startswith(str(archive))
    assert found[1:] == steps.names("signal")


def test_the_filter_that_the_how_to_adds_works() -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to.md").read_text(encoding="utf-8")
    block = page.split("## Add a filter")[1].split("```python\n")[1].split("```")[0]
    use = """
from lakeloom.filters.steps import step
found = step("signal", "exclamation_ratio", "here").function(pa.array(["a!b!", "", None]))
assert found.to_pylist() == [0.5, None, None], found
"""
    subprocess.run([sys.executable, "-c", block + use], check=True, timeout=120)
