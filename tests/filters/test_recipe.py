"""Recipes read from YAML: identity by what they do, one clear line for each mistake."""

import pickle
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


def test_shipped_recipes_are_valid() -> None:
    folder = files("lakeloom.conf") / "recipe"
    recipes = {
        file.name: Recipe.from_config(config(file.read_text()))
        for file in folder.iterdir()
        if file.name.endswith(".yaml")
    }
    assert {f"{made.name}.yaml" for made in recipes.values()} == set(recipes)
    assert recipes["raw.yaml"].steps == ()
    assert len(recipes["refinedweb.yaml"].step_names) == 32


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
