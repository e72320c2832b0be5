"""Which models had the documents of a dataset: its own, and those that began with one, its mean or its checkpoint."""

import json
from pathlib import Path

import pytest

from lakeloom.jobs import exposure
from lakeloom.jobs.takedown_shards import Affected
from lakeloom.lakehouse.store import Lakehouse

AFFECTED = Affected("web", "e1", "web-e1", {"d": (0, "train")})


def write(folder: Path, train_id: str, export_id: str, start: tuple[str, str] | None = None) -> None:
    """A model, mean or checkpoint; its start is a SHA-256 of weights and a run."""
    folder.mkdir(parents=True)
    begun = {"folder": "x", "model_sha": start[0], "train_id": start[1]} if start else None
    config = {"dataset": {"name": "web", "export_id": export_id}, "num_takedowns": 0, "start": begun}
    (folder / "config.json").write_text(json.dumps(config))
    facts = {"name": train_id, "model_sha": f"sha-{folder.name}-{train_id}", "train_id": train_id}
    (folder / "manifest.json").write_text(json.dumps(facts))


@pytest.mark.spark
def test_what_began_with_a_checkpoint_or_a_mean_has_what_that_had(lake: Lakehouse, tmp_path: Path) -> None:
    write(tmp_path / "base", "base", "e1")
    write(tmp_path / "base" / "average", "mean", "e1")
    write(tmp_path / "cooled", "cooled", "clean", ("sha-of-a-checkpoint-that-is-gone", "base"))
    write(tmp_path / "cooled" / "average", "cooled-mean", "clean", ("sha-of-a-checkpoint-that-is-gone", "base"))
    write(tmp_path / "of_mean", "of_mean", "clean", ("sha-average-mean", "mean"))
    write(tmp_path / "again", "again", "clean", ("sha-average-cooled-mean", "cooled-mean"))
    write(tmp_path / "other", "other", "clean", ("sha-of-another", "another"))
    write(tmp_path / "imported", "", "clean", ("sha-of-a-stranger", ""))
    # A run that goes on, and one that was cooled from an older checkpoint of it.
    for step in ("step_00000010", "step_00000020"):
        write(tmp_path / "going" / "checkpoints" / step, "going", "e1")
    write(tmp_path / "early", "early", "clean", ("sha-step_00000010-going", "going"))
    found = {row[0]: row[3:] for row in exposure.models(lake, tmp_path, [AFFECTED])}
    direct = dict.fromkeys(("base", "mean", "going"), (1, 0, "trained on them"))
    begun = {"cooled": "base", "cooled-mean": "base", "of_mean": "mean", "again": "cooled-mean", "early": "going"}
    assert found == direct | {name: (1, 0, f"begins with {of}") for name, of in begun.items()}
