"""What a run begins with where that isn't a new model: another's weights, and AdamW's moments where it has them."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from lakeloom.lakehouse.errors import ConfigError
from lakeloom.lakehouse.ids import Json
from lakeloom.train import checkpoint
from lakeloom.train.config import ModelConfig


@dataclass(frozen=True)
class Start:
    """A model or checkpoint that fits the run; it has `num_updates` optimizer steps, and tokens, behind it."""

    folder: Path
    model_sha: str
    num_updates: int
    train_id: str  # of the run that it is of; "": trained elsewhere
    tokens: int  # with those of what it began with


def find(folder: Path, model: ModelConfig, tokenizer_sha: str) -> Start:
    """Check that a run can begin with it; ConfigError where shape or tokenizer are others."""
    facts = checkpoint.manifest(folder)
    if facts is None:
        raise ConfigError(
            f"train.start={folder} is no finished model or checkpoint: it has no {checkpoint.MANIFEST}; give a folder "
            "of data/models, of its checkpoints/, or what lakeloom import-model wrote"
        )
    config = checkpoint.config(folder)
    shape, tokenizer = cast("dict[str, Json]", config["model"]), str(config["tokenizer_sha"])
    other = {name: value for name, value in asdict(model).items() if shape.get(name) != value}
    if other:
        named = ", ".join(f"{name} {shape.get(name)} there, {value} here" for name, value in other.items())
        raise ConfigError(f"train.start={folder} has another shape: {named}; give the scale= that it was trained at")
    if tokenizer != tokenizer_sha:
        raise ConfigError(
            f"train.start={folder} was trained with another tokenizer ({tokenizer[:12]}) than the "
            f"dataset's ({tokenizer_sha[:12]}); export the dataset with the model's"
        )
    train_id = str(facts.get("train_id", ""))
    num_updates, tokens = cast("int", facts["num_updates"]), checkpoint.all_tokens(facts, config)
    return Start(folder, str(facts["model_sha"]), num_updates, train_id, tokens)
