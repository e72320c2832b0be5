"""The configuration of a job, from Hydra's tree in conf/ and the words a user typed, as the job's frozen dataclass.

All checks are here, once: unknown keys, wrong types, and no `_target_` anywhere, since names go through our registries.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import is_dataclass, make_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, cast, get_type_hints

import yaml
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from omegaconf import OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from lakeloom.filters import dclm
from lakeloom.filters.recipe import Recipe
from lakeloom.lakehouse.errors import ConfigError, unknown

GROUPS = ("lakehouse", "spark", "pool", "recipe", "tokenizer", "scale")
# Words of pool=cc that a user writes without their group.
_SHORT = {"snapshot": "pool.snapshot", "files": "pool.files"}
# Settings of SQL, whose quotes and blanks are not Hydra's to read.
_LITERAL = ("fit_classifier.positives_where", "fit_classifier.negatives_where")

Tree = dict[str, Any]
T = TypeVar("T")


def tree(overrides: Sequence[str]) -> Tree:
    """The whole configuration as plain values, interpolations resolved."""
    words, files, settings = _translate(overrides)
    GlobalHydra.instance().clear()
    try:
        with initialize_config_module("lakeloom.conf", version_base="1.3"):
            composed = compose("config", overrides=words)
        OmegaConf.set_struct(composed, False)
        for group, path in files.items():
            composed[group] = _loaded(group, path, settings)
        plain = cast(Tree, OmegaConf.to_container(composed, resolve=True))
    except MissingConfigException as error:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        raise unknown(group or "configuration", name, error.options or ()) from error
    except ConfigCompositionException as error:
        raise ConfigError(_unknown_key(error, overrides)) from error
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_one_line(error)) from error
    _refuse_targets(plain, "")
    return plain


def build(kind: type[T], node: str, plain: Tree, overrides: Sequence[str] = ()) -> T:
    """A job's dataclass: fields named like a group take the group, all others come from the job's own node.

    A field `recipe` becomes a checked Recipe, one that holds another job's dataclass that job's configuration, and a
    field `overrides` the words themselves.
    """
    types = get_type_hints(kind)
    made: dict[str, object] = {}
    for name, field_type in list(types.items()):
        if name == "recipe":
            made[name] = Recipe.from_config(plain["recipe"])
        elif name == "overrides":
            made[name] = tuple(overrides)
        elif is_dataclass(field_type):
            inner = cast("type[object]", field_type)
            made[name] = _checked(inner, name, plain[name]) if name in GROUPS else build(inner, name, plain)
    own = {name: field_type for name, field_type in types.items() if name not in made}
    checked = _checked(make_dataclass(kind.__name__, list(own.items())), node, plain.get(node) or {})
    return kind(**{name: getattr(checked, name) for name in own}, **made)


def _checked(kind: "type[object]", node: str, values: object) -> object:
    """An instance of a dataclass of plain fields; unknown keys and wrong types are a ConfigError."""
    schema = OmegaConf.structured(kind)
    OmegaConf.set_readonly(schema, False)  # a frozen dataclass makes a read-only node
    try:
        return cast(object, OmegaConf.to_object(OmegaConf.merge(schema, values)))
    except OmegaConfBaseException as error:
        key = f"{node}.{error.full_key}" if error.full_key else node
        if isinstance(error, MissingMandatoryValue):
            raise ConfigError(f"{key} has no default; say {key}=...") from error
        if "is not a ListConfig" in str(error):
            raise ConfigError(f"{key} is a list; write {key}=[...]") from error
        raise ConfigError(f"{key}: {_one_line(error)}") from error


def _loaded(group: str, path: Path, settings: Tree) -> object:
    """A group's file. A recipe's may be a pipeline of DCLM's; `settings` are what was said of it beside its path."""
    try:
        loaded = OmegaConf.load(path)
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{path} is no YAML: {_one_line(error)}") from error
    if group != "recipe":
        return loaded
    if dclm.is_pipeline(OmegaConf.to_container(loaded)):
        return {"dclm": str(path), "name": path.stem, **settings}
    if "allow" in loaded:
        raise ConfigError(f"{path}: allow stands in no file; say recipe.allow=[...] beside recipe={path}")
    if "name" not in loaded:
        raise ConfigError(f"{path}: the recipe has no name; write name: {path.stem} and its steps:")
    return OmegaConf.merge(loaded, settings)


def _translate(overrides: Sequence[str]) -> tuple[list[str], dict[str, Path], Tree]:
    """Users' short forms as Hydra's: pool=/a/folder, recipe=my.yaml, snapshot=..., files=...; files; recipe.key=..."""
    words: list[str] = []
    files: dict[str, Path] = {}
    settings: Tree = {}
    has_recipe_file = any(override.startswith("recipe=") and _is_yaml(override) for override in overrides)
    for override in overrides:
        key, equals, value = override.partition("=")
        if override.startswith("-"):
            raise ConfigError(
                f"{override!r} is no setting; write {override.lstrip('-') or 'key=value'}, without dashes"
            )
        if not equals:
            raise ConfigError(f"{override!r} is no setting; write key=value, such as recipe=refinedweb")
        if key == "pool" and _is_path(value):
            words += ["pool=warc", f"pool.path={quoted(value)}"]
        elif key in GROUPS and _is_yaml(value):
            files[key] = _existing(key, value)
        elif has_recipe_file and key.startswith("recipe."):
            settings[key.removeprefix("recipe.")] = yaml.safe_load(value)
        else:
            words.append(f"{_SHORT.get(key, key)}={quoted(value) if key in _SHORT or key in _LITERAL else value}")
    return words, files, settings


def _is_yaml(value: str) -> bool:
    return value.endswith((".yaml", ".yml"))


def _is_path(value: str) -> bool:
    return "/" in value or value in (".", "..")


def quoted(value: str) -> str:
    """A value as Hydra's grammar takes it literally, whatever blanks, commas or colons it has."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _existing(key: str, value: str) -> Path:
    path = Path(value)
    if not path.is_file():
        raise ConfigError(f"{key}={value}: no such file")
    return path


def _refuse_targets(value: object, where: str) -> None:
    for key, item in _items(value):
        if key == "_target_":
            raise ConfigError(
                f"{where or 'the configuration'} has _target_; lakeloom runs no code that a configuration names"
            )
        _refuse_targets(item, f"{where}.{key}".lstrip("."))


def _items(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        yield from ((str(key), item) for key, item in cast(Mapping[object, object], value).items())
    elif isinstance(value, list):
        yield from ((str(index), item) for index, item in enumerate(cast(list[object], value)))


def _unknown_key(error: Exception, overrides: Sequence[str]) -> str:
    """Hydra's message with the nearest keys, since it names none."""
    text = _one_line(error)
    for override in overrides:
        key = override.partition("=")[0].lstrip("+~")
        if f"'{key}'" in text or f"'{key.split('.')[0]}" in text:
            near = get_close_matches(key, _keys(), n=3)
            if near and key not in near:
                return f"no setting {key!r}; nearest: {', '.join(near)}"
    return text


def _keys() -> list[str]:
    with initialize_config_module("lakeloom.conf", version_base="1.3"):
        plain = OmegaConf.to_container(compose("config"), resolve=False)
    found: list[str] = []

    def walk(value: object, where: str) -> None:
        for key, item in _items(value):
            found.append(f"{where}.{key}".lstrip("."))
            if isinstance(item, Mapping):
                walk(cast(Mapping[str, object], item), found[-1])

    walk(plain, "")
    return found


def _one_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return "; ".join(line for line in lines if not line.startswith(("full_key:", "object_type=", "reference_type=")))
