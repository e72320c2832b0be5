"""make reference: docs/reference.md, written from the jobs, settings and tables; filters_page.py has the steps."""

import sys
from pathlib import Path

import lakeloom.conf
from lakeloom.filters.dclm_plan import TABLE
from lakeloom.filters.steps import load_all
from lakeloom.jobs.cli import JOBS
from lakeloom.lakehouse.session import sql_type
from lakeloom.lakehouse.tables import TABLES

_CONF = Path(str(lakeloom.conf.__file__)).parent
_GROUPS = ("lakehouse", "spark", "pool", "recipe", "tokenizer", "scale")


def markdown() -> str:
    """The whole page."""
    parts = [
        "# Reference",
        "Written by `make reference` from the code; tests compare it.",
        _jobs(),
        _groups(),
        _dclm(),
        _tables(),
    ]
    return "\n\n".join(parts) + "\n"


def _jobs() -> str:
    parts = ["## Jobs", "`lakeloom JOB key=value ...`; exit code 0 done, 1 failed, 2 the request was wrong."]
    for name, job in JOBS.items():
        path = _CONF / "job" / f"{name}.yaml"
        parts.append(f"### {name}\n{job.about[0].upper()}{job.about[1:]}.")
        if path.exists() and "{}" not in path.read_text():
            package, _, body = path.read_text().partition("\n")
            node = package.rsplit(maxsplit=1)[-1]
            parts.append(f"```yaml\n{node}:\n" + "".join(f"  {line}\n" for line in body.strip().splitlines()) + "```")
    return "\n\n".join(parts)


def _groups() -> str:
    rows = [
        f"| `{group}` | " + ", ".join(f"`{path.stem}`" for path in sorted((_CONF / group).glob("*.yaml"))) + " |"
        for group in _GROUPS
    ]
    return "\n".join(
        [
            "## Groups",
            "Every job reads these: `recipe=raw`, `scale=400m_1x`, `tokenizer=gpt_neox`.\n",
            "| group | choices |",
            "| --- | --- |",
            *rows,
        ]
    )


def _dclm() -> str:
    load_all()  # the translations enter their table as they are imported
    rows = []
    for name, entry in sorted(TABLE.items()):
        arguments = ", ".join(f"`{argument}`" for argument in entry.parameters.kinds) or "none"
        rows.append(f"| {name} | {arguments} |")
    about = (
        "A pipeline YAML of DCLM's is a recipe: `recipe=path/c4.yaml`, with `recipe.source`, `recipe.lists` (folders "
        "of the files it names) and `recipe.allow` (functions of your own). Each step may have `_fix: true`: parity.md."
    )
    return "\n".join(
        ["## Functions of DCLM's pipelines", f"{about}\n", "| function | arguments |", "| --- | --- |", *rows]
    )


def _tables() -> str:
    parts = ["## Tables"]
    for table in TABLES.values():
        columns = "\n".join(f"| {field.name} | {sql_type(field.type)} |" for field in table.schema)
        keys = ", ".join(f"`{key}`" for key in table.keys)
        about = f"{table.about[0].upper()}{table.about[1:]}. Key: {keys}."
        parts.append(f"### {table.name}\n{about}\n\n| column | type |\n| --- | --- |\n{columns}")
    return "\n\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(markdown())
