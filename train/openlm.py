"""A model that DCLM's trainer (open_lm) saved, as a model folder of ours: to be scored, or to train from.

Its checkpoint is a pickle. It is read by torch with weights_only=True and never otherwise: that takes tensors and plain
values, and refuses whatever would run.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import load_file
from torch import Tensor

from lakeloom.lakehouse.errors import PASSED_ON, BadInput, ConfigError
from lakeloom.lakehouse.ids import Json, file_sha, identity
from lakeloom.lakehouse.tokens import Tokenizer
from lakeloom.train import checkpoint
from lakeloom.train.config import ImportModelConfig, ModelConfig
from lakeloom.train.model import Decoder, from_open_lm

_WRAPPERS = ("module.", "_orig_mod.")  # DistributedDataParallel's and torch.compile's
_NAMED = 5  # weights that an error names


def run(cfg: ImportModelConfig) -> Path:
    """Write the model's folder; found where it is already. BadInput for a file that isn't such a model's."""
    tokenizer = Tokenizer.load(Path(cfg.tokenizer_file))
    shape = cfg.scale.model(tokenizer.vocab_size)
    if tokenizer.vocab_size > shape.vocab_size:
        raise ConfigError(
            f"{tokenizer.path}: ids up to {tokenizer.vocab_size - 1}, the model's vocabulary is {shape.vocab_size}; "
            "give the tokenizer that it was trained with"
        )
    source = Path(cfg.checkpoint)
    weights = read(source, shape)
    train_id = identity("import", file_sha(source), asdict(shape), tokenizer.sha)
    folder = Path(cfg.models, f"{cfg.name}-{train_id[:12]}")
    facts: dict[str, Json] = {"name": cfg.name, "train_id": train_id, "run_id": "", "step": 0}
    facts |= {"tokens": cfg.tokens, "loss": None}
    config = _config(cfg, shape, tokenizer, train_id)
    found = checkpoint.manifest(folder)  # what was said of it may have been corrected since
    if (
        found is None
        or any(found.get(name) != value for name, value in facts.items())
        or checkpoint.config(folder) != config
    ):
        checkpoint.save(folder, checkpoint.State(weights, {}, 0), config, facts, tokenizer.path)
    return folder


def read(path: Path, shape: ModelConfig) -> dict[str, Tensor]:
    """The weights of an open_lm checkpoint (.pt, or its state dict as safetensors) under our names, in fp32."""
    state = {_unwrapped(name): value for name, value in _tensors(path).items()}
    found = {name: value.float() for name, value in from_open_lm(state).items()}
    with torch.device("meta"):
        expected = {name: tuple(value.shape) for name, value in Decoder(shape).state_dict().items()}
    wrong = sorted(
        f"{name} {tuple(found[name].shape) if name in found else 'missing'} instead of {expected.get(name, 'nothing')}"
        for name in expected.keys() | found.keys()
        if name not in found or tuple(found[name].shape) != expected.get(name)
    )
    if wrong:
        more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        raise BadInput(f"{path} is no model of this scale: {'; '.join(wrong[:_NAMED])}{more}; give the right scale=")
    return found


def _tensors(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise ConfigError(f"no checkpoint {path}; give an open_lm epoch_N.pt, or its state dict as .safetensors")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded: object = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except PASSED_ON:
        raise
    except Exception as error:  # whatever pickle, zip and torch's readers raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BadInput(f"{path}: refused, it holds other things than tensors, or is broken: {reason}") from error
    state = cast("Mapping[str, object]", loaded).get("state_dict", loaded) if isinstance(loaded, dict) else loaded
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise BadInput(f"{path}: no state dict of tensors, by itself or as 'state_dict'")
    return cast("Mapping[str, Tensor]", state)


def _unwrapped(name: str) -> str:
    for wrapper in _WRAPPERS:
        name = name.removeprefix(wrapper)
    return name


def _config(cfg: ImportModelConfig, shape: ModelConfig, tokenizer: Tokenizer, train_id: str) -> Json:
    dataset: dict[str, Json] = {"name": cfg.dataset, "export_id": "", "recipe": ""}
    return {
        "format": 1,
        "name": cfg.name,
        "train_id": train_id,
        "model": asdict(shape),
        "scale": asdict(cfg.scale),
        "seed": 0,
        "dataset": dataset,
        "tokenizer_sha": tokenizer.sha,
        "tokenizer_file": tokenizer.path.name,
        "imported_from": Path(cfg.checkpoint).name,
    }
