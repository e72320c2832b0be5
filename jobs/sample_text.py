"""Reads the text that the installed packages carry: docstrings, READMEs, licences, change logs, source code.

Packages are read as files, by `ast`; nothing of them is imported or run. Which files of a package are read
depends on their paths alone, and all lists are sorted: the same environment gives the same text.
"""

import ast
import re
import sysconfig
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution
from pathlib import Path, PurePosixPath

from lakeloom.lakehouse.ids import shuffle_key
from lakeloom.lakehouse.pools import environment

_LICENCE = re.compile(r"^(licen[cs]e|copying|notice|authors)", re.IGNORECASE)
_CHANGES = re.compile(r"^(changelog|changes|history|news)(\.(md|rst|txt))?$", re.IGNORECASE)
# Left out: tests and vendored copies (hardly any prose), files that an installation writes about its machine.
_SKIPPED = {"test", "tests", "testing", "idle_test", "_vendor", "vendored", "pydoc_data"}
_SKIPPED_ROOTS = {"site-packages", "dist-packages"}
_MACHINE = re.compile(r"^(_sysconfigdata|sitecustomize|usercustomize|__editable__|_virtualenv)")
_UNSAFE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_MAX_FILE = 200_000
_MAX_SOURCE = 2_000_000


@dataclass(frozen=True)
class Member:
    """A module, class or function and its docstring."""

    kind: str
    name: str
    signature: str
    doc: str


@dataclass(frozen=True)
class Module:
    """A source file; the first member is the module itself."""

    name: str
    source: str
    members: tuple[Member, ...]


@dataclass(frozen=True)
class Note:
    """A whole text of a package: README, licence, change log or a topic of the language reference."""

    kind: str
    title: str
    text: str
    flavour: str  # rst, markdown, plain


@dataclass(frozen=True)
class Package:
    """What one package has to tell."""

    name: str
    version: str
    summary: str
    notes: tuple[Note, ...]
    modules: tuple[Module, ...]


def packages(num_chars: int) -> Iterator[Package]:
    """Installed packages and the standard library in hash order, each with some num_chars of docstrings."""
    found = environment()
    for name in sorted([*found, "python"], key=lambda name: shuffle_key(0, name)):
        yield _installed(name, found[name], num_chars) if name in found else _standard_library(num_chars)


def _installed(name: str, dist: Distribution, num_chars: int) -> Package:
    listed = [path for path in dist.files or [] if ".." not in path.parts and not path.is_absolute()]
    files = {path.as_posix(): Path(str(dist.locate_file(path))) for path in listed}
    notes = [*_readme(dist), *_texts(files)]
    modules = read_modules(((path, files[path]) for path in _in_order(files)), num_chars)
    return Package(name, dist.version, _field(dist, "Summary") or name, tuple(notes), modules)


def _standard_library(num_chars: int) -> Package:
    root = Path(sysconfig.get_path("stdlib"))
    files = {path.relative_to(root).as_posix(): path for path in root.rglob("*.py")}
    topics = _topics((root / "pydoc_data" / "topics.py").read_text("utf-8"))
    modules = read_modules(((path, files[path]) for path in _in_order(files)), num_chars)
    version = sysconfig.get_python_version()
    return Package("python", version, "The Python standard library", tuple(topics), modules)


def _field(dist: Distribution, name: str) -> str:
    """A metadata field, empty if it is absent; the README is the field Description."""
    return _clean(str(dist.metadata[name])) if name in dist.metadata else ""


def _in_order(paths: Iterable[str]) -> list[str]:
    """Python files worth reading, in an order that spreads over the package."""
    wanted = [path for path in paths if path.endswith(".py") and _is_wanted(PurePosixPath(path))]
    return sorted(wanted, key=lambda path: shuffle_key(0, path))


def _is_wanted(path: PurePosixPath) -> bool:
    if _SKIPPED & set(path.parts) or path.name.endswith("_pb2.py"):
        return False
    return path.parts[0] not in _SKIPPED_ROOTS and not _MACHINE.match(path.parts[0])


def read_modules(files: Iterable[tuple[str, Path]], num_chars: int) -> tuple[Module, ...]:
    """Modules up to num_chars of docstrings or 2 MB of source; what doesn't parse is passed over."""
    modules: list[Module] = []
    num_docs = num_source = 0
    for name, path in files:
        source = _read(path)
        module = read_module(_dotted(name), source) if source else None
        if module:
            modules.append(module)
            num_docs += sum(len(member.doc) for member in module.members)
        num_source += len(source)
        if num_docs >= num_chars or num_source >= _MAX_SOURCE:
            break
    return tuple(sorted(modules, key=lambda module: module.name))


def read_module(name: str, source: str) -> Module | None:
    """The module's docstrings, in source order; None if it has none or is no Python."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of invalid escapes: -W error must not change the sample
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    members = [Member("module", name, "", _clean(ast.get_docstring(tree) or "")), *_members(tree, name)]
    return Module(name, _clean(source), tuple(members)) if any(member.doc for member in members) else None


def _members(node: ast.Module | ast.ClassDef, prefix: str) -> Iterator[Member]:
    for child in node.body:
        if not isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        doc, name = _clean(ast.get_docstring(child) or ""), f"{prefix}.{child.name}"
        if isinstance(child, ast.ClassDef):
            yield Member("class", name, "", doc)
            yield from _members(child, name)
        elif doc:
            yield Member("function", name, _signature(child), doc)


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    text = ast.unparse(node.args)
    return _clean(text if len(text) <= 300 else f"{text[:297]}...")


def _readme(dist: Distribution) -> Iterator[Note]:
    text = _field(dist, "Description")
    kind = (_field(dist, "Description-Content-Type") or "text/x-rst").split(";")[0].strip().lower()
    flavour = {"text/markdown": "markdown", "text/x-rst": "rst"}.get(kind, "plain")
    if len(text) >= 200:
        yield Note("readme", dist.name, text, flavour)


def _texts(files: dict[str, Path]) -> Iterator[Note]:
    for path in sorted(files):
        name = PurePosixPath(path)
        is_licence = name.parts[0].endswith(".dist-info") and _LICENCE.match(name.name)
        if not is_licence and not _CHANGES.match(name.name):
            continue
        text = _clean(_read(files[path]))
        flavour = {".md": "markdown", ".rst": "rst"}.get(name.suffix.lower(), "plain")
        if text:
            yield Note("licence" if is_licence else "changes", name.name, text, flavour)


def _topics(source: str) -> Iterator[Note]:
    """The language reference inside pydoc: a module that assigns one dictionary of strings."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign):
            topics: dict[str, str] = ast.literal_eval(node.value)
            yield from (Note("topic", name, _clean(text), "rst") for name, text in sorted(topics.items()))


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8") if path.stat().st_size <= _MAX_FILE else ""
    except (OSError, UnicodeDecodeError):
        return ""


def _dotted(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _clean(text: str) -> str:
    """Without lone surrogates and control characters, which no page may hold."""
    return _UNSAFE.sub("", text)
