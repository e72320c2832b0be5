"""Text is read from files by syntax alone, the same way each time."""

from pathlib import Path

import pytest

from lakeloom.jobs import sample_text
from lakeloom.jobs.sample_text import packages, read_module, read_modules
from lakeloom.lakehouse.pools import environment

SOURCE = '''"""Top of the module."""
raise SystemExit("a module that is read must not run")

class Box:
    """A box."""

    def open(self, *, force: bool = False) -> int:
        """Open it, at "C:\\path"."""

    def silent(self):
        pass

async def fetch(url, *rest):
    """Fetch \\ud800it\\x00."""
'''


def test_members_of_a_module_in_source_order() -> None:
    module = read_module("crate.box", SOURCE)
    assert module is not None
    assert [(m.kind, m.name, m.signature, m.doc) for m in module.members] == [
        ("module", "crate.box", "", "Top of the module."),
        ("class", "crate.box.Box", "", "A box."),
        ("function", "crate.box.Box.open", "self, *, force: bool=False", 'Open it, at "C:\\path".'),
        ("function", "crate.box.fetch", "url, *rest", "Fetch it."),
    ]


@pytest.mark.parametrize("source", ["", "x = 1", "def (", "\0", "(" * 5000, "def f(): pass"])
def test_modules_without_documentation_are_none(source: str) -> None:
    assert read_module("empty", source) is None


def test_reading_stops_at_the_budget(tmp_path: Path) -> None:
    files = [(f"crate/m{i}.py", tmp_path / f"m{i}.py") for i in range(9)]
    for _, path in files:
        path.write_text(f'"""{"word " * 20}"""', "utf-8")
    names = [module.name for module in read_modules([*files, ("crate/gone.py", tmp_path / "gone.py")], 250)]
    assert names == ["crate.m0", "crate.m1", "crate.m2"]


def test_installed_packages_and_the_standard_library_have_text(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {name: dist for name, dist in environment().items() if name in {"pytest", "warcio", "markdown-it-py"}}
    monkeypatch.setattr(sample_text, "environment", lambda: few)
    found = {package.name: package for package in packages(2000)}
    assert set(found) == {"python", *few}
    assert {"rst", "markdown"} <= {note.flavour for package in found.values() for note in package.notes}
    assert any(note.kind == "licence" for note in found["pytest"].notes)
    topics = {note.title: note.text for note in found["python"].notes if note.kind == "topic"}
    assert '"assert" statement' in topics["assert"]
    assert sum(len(member.doc) for module in found["python"].modules for member in module.members) >= 2000
