"""What a training run leaves behind, as its caller and a second run see it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from lakeloom.train.checkpoint import manifest


@dataclass(frozen=True)
class TrainResult:
    """One model folder. `stopped` means a signal came first: the same command goes on from there."""

    status: Literal["trained", "found", "stopped"]
    folder: Path
    name: str
    train_id: str
    steps: int
    tokens: int
    loss: float  # cross-entropy of the last step
    model_sha: str  # empty while stopped
    run_id: str  # of MLflow; empty without tracking
    bits_per_byte: float | None = None  # of the held-out documents at the end; None: not measured


def find(folder: Path, train_id: str, status: Literal["trained", "found"] = "found") -> TrainResult | None:
    """The finished model of that identity in a folder, or None."""
    facts = manifest(folder)
    if facts is None or facts.get("train_id") != train_id:
        return None
    return TrainResult(
        status=status,
        folder=folder,
        name=str(facts["name"]),
        train_id=train_id,
        steps=cast("int", facts["step"]),
        tokens=cast("int", facts["tokens"]),
        loss=cast("float", facts["loss"]),
        model_sha=str(facts["model_sha"]),
        run_id=str(facts["run_id"]),
        bits_per_byte=cast("float | None", facts.get("bits_per_byte")),
    )
