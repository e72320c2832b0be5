"""What a recipe says beside its steps: a shipped recipe whose steps come before its own, and the files it needs.

The keys: `extends: refinedweb`; `needs: {model: where to get it}`, settings and what to say of each; `model: null`, the
setting itself, which recipe.model=PATH gives and a step reads as "${...model}".
"""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import yaml

from lakeloom.lakehouse.errors import ConfigError, unknown

KEYS = ("name", "steps", "extends", "needs")


def check_keys(config: Mapping[str, object], where: str) -> None:
    """Refuse keys that no recipe has, and files that are needed and not there: the line says where to get them."""
    needs = config.get("needs") or {}
    if not isinstance(needs, Mapping):
        raise ConfigError(f"{where}: needs is {needs!r}; give a mapping from a setting to where its file comes from")
    for key in config:
        if key not in KEYS and key not in needs:
            raise unknown("recipe key", str(key), [*KEYS, *map(str, needs)], where)
    for setting, advice in needs.items():
        value = config.get(str(setting))
        if value is None:
            raise ConfigError(f"{where} needs a file: say recipe.{setting}=PATH ({advice})")
        if not isinstance(value, str | Path) or not Path(value).is_file():
            raise ConfigError(f"{where}: recipe.{setting}: no file {str(value)!r} ({advice})")


def steps_before(config: Mapping[str, object], where: str) -> list[object]:
    """The steps of the shipped recipe that this one extends; [] where it extends none."""
    base = config.get("extends")
    if base is None:
        return []
    shipped = {file.name.removesuffix(".yaml"): file for file in (files("lakeloom.conf") / "recipe").iterdir()}
    if base not in shipped:
        raise unknown("shipped recipe", str(base), shipped, where)
    found = yaml.safe_load(shipped[str(base)].read_text(encoding="utf-8"))
    if found.get("needs"):
        raise ConfigError(f"{where}: extends {base!r}, which needs files of its own; extend what it extends")
    return [*steps_before(found, where), *found["steps"]]
