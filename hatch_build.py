"""Make one import package, lakeloom, of the top-level folders: filters/length.py is lakeloom.filters.length."""

from pathlib import Path
from shutil import rmtree
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGES = ("conf", "evaluate", "filters", "jobs", "lakehouse", "train")


class PackageMap(BuildHookInterface):
    """Editable install: a stub package whose __path__ is the repository. Wheel: each folder under lakeloom/."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        stub = Path(self.root, ".dev", version, "lakeloom")
        rmtree(stub, ignore_errors=True)
        stub.mkdir(parents=True)
        (stub / "py.typed").touch()
        if version == "editable":
            # Python imports the real folders by __path__; type checkers only follow the links.
            (stub / "__init__.py").write_text(f"__path__ = [{self.root!r}]\n")
            for package in PACKAGES:
                (stub / package).symlink_to(Path(self.root, package), target_is_directory=True)
            return
        (stub / "__init__.py").touch()
        for package in PACKAGES:
            folder = Path(self.root, package)
            build_data["force_include"][str(folder)] = f"lakeloom/{package}"
            if not (folder / "__init__.py").exists():
                # A package without it can't be imported from the zip that spark-submit --py-files ships.
                (stub / package).mkdir()
                (stub / package / "__init__.py").touch()
        build_data["force_include"][str(stub)] = "lakeloom"
