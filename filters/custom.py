"""Functions of users' own in DCLM pipelines: `a.b.fn` is the function `fn` of the file a/b.py.

Nothing is imported that the user has not named in an allow-list, which no file can hold: only the command line or a
call. A function with a parameter `page` takes pages itself; any other is a factory that makes such a function.
"""

import importlib.util
import inspect
import json
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, cast

from lakeloom.filters.steps import Page, mapper
from lakeloom.lakehouse.errors import ConfigError


@mapper
def custom(page: Page, *, function: str, file: Path, arguments: str, delimiter: str | None = None) -> list[Page]:
    """Apply a function of a file that the user allows (recipe.allow); `arguments` are a JSON object.

    With a delimiter the function gets its text as a list of parts, and may give it back so.
    """
    if delimiter is not None and isinstance(page.get("text"), str):
        page["text"] = cast(str, page["text"]).split(delimiter)
    pages = cast(list[Page], ready(function, file, arguments)(page))
    for made in pages if delimiter is not None and isinstance(pages, list) else ():
        if isinstance(made.get("text"), list):
            made["text"] = delimiter.join(cast(list[str], made["text"])) if delimiter is not None else None
    return pages


@cache
def ready(function: str, file: Path, arguments: str) -> Callable[[Page], object]:
    """The function of a page, with its arguments; a ConfigError where the file hasn't it or it doesn't take them."""
    found = getattr(_module(file), function.rpartition(".")[2], None)
    if not callable(found):
        raise ConfigError(f"{file} has no function {function.rpartition('.')[2]!r}")
    options = json.loads(arguments)
    try:
        if "page" in inspect.signature(found).parameters:
            inspect.signature(found).bind({}, **options)
            return lambda page: found(page, **options)
        return cast(Callable[[Page], object], found(**options))
    except TypeError as error:
        raise ConfigError(f"{function}: {error}") from error


@cache
def _module(file: Path) -> Any:
    """The module of a file, imported once a process; its own imports may be of files beside the pipeline's folder."""
    name = f"lakeloom_custom_{file.stem}_{abs(hash(file))}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
