"""Delta's six jars, fetched once by the Ivy that pyspark ships, checked by SHA-256, then passed by spark.jars.

Resolving spark.jars.packages instead costs every start four times as long and needs a network.
"""

import logging
import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.ids import file_sha

log = logging.getLogger(__name__)

DELTA = "4.4.0"
# organisation, module, revision, SHA-256
JARS = (
    (
        "io.delta",
        "delta-spark_4.2_2.13",
        DELTA,
        "27d4fd8b1f879535c573ed1c718177d6a27f24d3e626ba02e216369725721ead",
    ),
    ("io.delta", "delta-storage", DELTA, "c46735481fa8e326b0957be02b4420cbcab4b325bb08009b7f2045a95133f1cc"),
    (
        "io.delta",
        "delta-kernel-api",
        DELTA,
        "ee9b5a14ac3b7efdff4d61a58478fe8eb0e5a3fbca43889dca7290795fe79a11",
    ),
    (
        "io.delta",
        "delta-kernel-defaults",
        DELTA,
        "225c975199e4718b38ee5b7e6da7f19e9585024262b2cec2656b32151a856b0b",
    ),
    (
        "io.delta",
        "delta-kernel-unitycatalog",
        DELTA,
        "cea22dfb4ac562b3cd27bf652697750e8336009d73fb06631363aaaad5345ffa",
    ),
    (
        "io.unitycatalog",
        "unitycatalog-client",
        "0.6.0",
        "48257499a86b801a3e2372cec55ac226ca1c1c7eabe5c118e7302f29a1fdbc19",
    ),
)


def cache_folder() -> Path:
    """Where the jars are kept: $LAKELOOM_CACHE, else lakeloom/ in the user's cache folder."""
    chosen = os.environ.get("LAKELOOM_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lakeloom"


def ensure(java: Path, folder: Path | None = None) -> list[Path]:
    """The jars' paths; what is missing or damaged is fetched first. Raises ConfigError when that fails."""
    folder = folder or cache_folder() / f"delta-{DELTA}"
    paths = [folder / f"{module}-{revision}.jar" for _, module, revision, _ in JARS]
    if any(_sha256(path) != jar[3] for path, jar in zip(paths, JARS, strict=True)):
        _fetch(java, folder)
    for path, (_, _, _, sha) in zip(paths, JARS, strict=True):
        if _sha256(path) != sha:
            path.unlink(missing_ok=True)
            raise ConfigError(f"{path.name} is not the published jar (SHA-256 differs); it was removed, run again")
    return paths


def _sha256(path: Path) -> str:
    if not path.exists():
        return ""
    return file_sha(path)


def _fetch(java: Path, folder: Path) -> None:
    import pyspark

    log.info("fetching Delta %s's jars into %s", DELTA, folder)
    folder.mkdir(parents=True, exist_ok=True)
    rows = "".join(
        f'<dependency org="{org}" name="{module}" rev="{revision}" transitive="false"/>'
        for org, module, revision, _ in JARS
    )
    ivy = next((Path(pyspark.__file__).parent / "jars").glob("ivy-*.jar"))
    with TemporaryDirectory() as scratch:
        wanted = Path(scratch, "ivy.xml")
        wanted.write_text(
            '<ivy-module version="2.0"><info organisation="lakeloom" module="jars"/>'
            f"<dependencies>{rows}</dependencies></ivy-module>"
        )
        settings = os.environ.get("LAKELOOM_IVY_SETTINGS")
        command = [str(java), "-jar", str(ivy), *(["-settings", settings] if settings else [])]
        command += ["-ivy", str(wanted), "-cache", scratch, "-types", "jar"]
        command += ["-retrieve", f"{folder}/[artifact]-[revision].[ext]", "-overwriteMode", "always"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (fixed arguments)
    if done.returncode:
        reason = next((line for line in done.stdout.splitlines() if "FAILED" in line or "not found" in line), "")
        raise ConfigError(
            f"Delta's jars could not be fetched into {folder} ({reason.strip() or 'no answer from the repository'}); "
            "behind a mirror, set LAKELOOM_IVY_SETTINGS to your ivysettings.xml, or put the jars there yourself"
        )


if __name__ == "__main__":
    from lakeloom.lakehouse import java

    ensure(java.find())
