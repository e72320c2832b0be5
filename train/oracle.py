"""Our decoder and its training beside DCLM's trainer (open_lm), from what that trainer wrote into a folder.

The folder has weights.safetensors (start weights by open_lm's names), tokens.npy (steps x batch rows of T + 1 tokens in
the order of training), logits.npy (of the first rows, with the start weights) and expected.json (configuration,
hyperparameters, each step's loss). The same rows are trained on by plain PyTorch and through DeepSpeed, in fp32.
"""

import argparse
import json
import logging
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from lakeloom.lakehouse.errors import BadInput, LakeloomError
from lakeloom.train import optim, plain, scratch
from lakeloom.train import plan as planning
from lakeloom.train.config import ModelConfig
from lakeloom.train.engine import Engine, join
from lakeloom.train.loss import Objective
from lakeloom.train.model import Decoder, from_open_lm

MAX_LOGIT, MAX_LOSS = 1e-4, 1e-3
FILES = ("expected.json", "weights.safetensors", "tokens.npy", "logits.npy")


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters of the run; all else is DCLM's and fixed."""

    lr: float
    cooldown_lr: float
    warmup: int
    weight_decay: float
    z_loss: float
    global_batch: int
    num_steps: int

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        return optim.learning_rate(
            step, peak=self.lr, final=self.cooldown_lr, warmup=self.warmup, num_steps=self.num_steps
        )


@dataclass(frozen=True)
class Reference:
    """A folder's content. Shapes: S steps of B rows, T positions, R rows of logits, V vocabulary."""

    model: ModelConfig
    recipe: Recipe
    weights: Mapping[str, Tensor]  # by our names
    tokens: npt.NDArray[np.int64]  # S * B, T + 1
    logits: npt.NDArray[np.float32]  # R, T, V
    losses: Sequence[float]  # S: of the objective, z-loss included

    def decoder(self) -> Decoder:
        """A decoder with the start weights. Raises BadInput where they are another model's."""
        decoder = Decoder(self.model)
        try:
            decoder.load_state_dict(dict(self.weights))
        except RuntimeError as error:
            what = " ".join(str(error).split())[:300]
            raise BadInput(f"weights.safetensors is not of the model in expected.json: {what}") from error
        return decoder

    def batches(self) -> Iterator[npt.NDArray[np.int64]]:
        """Each step's rows."""
        yield from np.split(self.tokens, self.recipe.num_steps)


def load(folder: Path) -> Reference:
    """Read and check a folder. Raises BadInput, naming the file."""
    for name in FILES:
        if not (folder / name).is_file():
            raise BadInput(f"{folder}: no {name}; a folder of the oracle has {', '.join(FILES)}")
    try:
        expected = json.loads((folder / "expected.json").read_text("utf-8"))
        model, recipe = _model(expected["config"]), _recipe(expected["hyperparameters"])
        losses = [float(line["loss"]) for line in expected["training"]]
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{folder / 'expected.json'}: {type(error).__name__}: {error}") from error
    tokens, logits = (_array(folder / name) for name in ("tokens.npy", "logits.npy"))
    shape = (recipe.num_steps * recipe.global_batch, model.seq_len + 1)
    are_ids = tokens.shape == shape and tokens.size and np.issubdtype(tokens.dtype, np.integer)
    if not are_ids or not (tokens.min() >= 0 and tokens.max() < model.vocab_size):
        raise BadInput(f"{folder / 'tokens.npy'}: expected {shape} ids below {model.vocab_size}, found {tokens.shape}")
    are_logits = logits.shape[1:] == (model.seq_len, model.vocab_size) and np.issubdtype(logits.dtype, np.floating)
    if not are_logits or not 1 <= len(logits) <= len(tokens):
        wanted = f"numbers of rows x {model.seq_len} x {model.vocab_size}"
        raise BadInput(f"{folder / 'logits.npy'}: expected {wanted}, found {logits.dtype} of {logits.shape}")
    if len(losses) != recipe.num_steps:
        raise BadInput(f"{folder / 'expected.json'}: {len(losses)} losses of {recipe.num_steps} steps")
    try:
        weights = from_open_lm(load_file(folder / "weights.safetensors"))
    except (SafetensorError, OSError) as error:
        raise BadInput(f"{folder / 'weights.safetensors'}: {error}") from error
    return Reference(model, recipe, weights, tokens.astype(np.int64), logits.astype(np.float32), losses)


def _model(made: Mapping[str, object]) -> ModelConfig:
    names = ("vocab_size", "seq_len", "dim", "n_layers", "n_heads", "ffn_hidden")
    vocab_size, seq_len, dim, layers, heads, hidden = (_whole(made, name) for name in names)
    if dim % (2 * heads):
        raise ValueError(f"dim {dim} is not a multiple of twice n_heads, {heads}")
    return ModelConfig(vocab_size, seq_len, dim, layers, heads, hidden)


def _whole(made: Mapping[str, object], name: str) -> int:
    value = made[name]
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} is {value!r}, not a whole number above 0")
    return value


def _recipe(made: Mapping[str, float]) -> Recipe:
    return Recipe(
        lr=float(made["lr"]),
        cooldown_lr=float(made["cooldown_end_lr"]),
        warmup=_whole(made, "warmup"),
        weight_decay=float(made["wd"]),
        z_loss=float(made["z_loss"]),
        global_batch=_whole(made, "global_batch"),
        num_steps=_whole(made, "steps"),
    )


def _array(path: Path) -> npt.NDArray[np.generic]:
    try:
        with path.open("rb") as file:
            found = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise BadInput(f"{path}: no array of numpy: {error}") from error
    if not isinstance(found, np.ndarray):
        raise BadInput(f"{path}: no array of numpy, but {type(found).__name__}")
    return cast("npt.NDArray[np.generic]", found)


def logits_difference(reference: Reference) -> float:
    """Largest difference of a logit, with the start weights."""
    inputs = torch.from_numpy(reference.tokens[: len(reference.logits), :-1])
    with torch.no_grad():
        found = reference.decoder()(inputs)
    return float((found - torch.from_numpy(reference.logits)).abs().max())


def by_pytorch(reference: Reference) -> list[float]:
    """Each step's loss, by torch's own functions around the decoder."""
    decoder, recipe, losses = reference.decoder(), reference.recipe, list[float]()
    optimizer = optim.adamw(decoder.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
    for step, rows in enumerate(reference.batches()):
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate(step)
        losses.append(plain.step(decoder, optimizer, torch.from_numpy(rows), len(rows), recipe.z_loss))
    return losses


def by_deepspeed(reference: Reference) -> list[float]:
    """Each step's loss, by the engine that trains."""
    model, recipe = reference.model, reference.recipe
    scale: dict[str, object] = {
        "name": "oracle",
        "dim": model.dim,
        "num_layers": model.num_layers,
        "num_heads": model.num_heads,
        "ffn_hidden": model.ffn_hidden,
        "vocab_size": model.vocab_size,
        "seq_len": model.seq_len,
        "multiplier": 1.0,
        "tokens": recipe.num_steps * recipe.global_batch * model.seq_len,
        "global_batch": recipe.global_batch,
        "accumulation": 1,
        "warmup": recipe.warmup,
        "lr": recipe.lr,
        "cooldown_lr": recipe.cooldown_lr,
        "weight_decay": recipe.weight_decay,
        "z_loss": recipe.z_loss,
    }
    with tempfile.TemporaryDirectory() as folder:
        dataset = Path(folder, "data")
        scratch.write_dataset(dataset, reference.tokens.astype(np.uint32), model.vocab_size)
        run = {"device": "cpu", "precision": "fp32"}
        plan = planning.make(scratch.configuration(scale, dataset, run, "oracle"))
    engine = Engine(Objective(reference.decoder(), recipe.z_loss), plan, join(plan))
    return [engine.step(rows, recipe.rate(step)).objective for step, rows in enumerate(reference.batches())]


def main(arguments: Sequence[str]) -> int:
    """Print what was compared, its largest difference and the limit; 0 where all are within, 1 otherwise."""
    parser = argparse.ArgumentParser(
        prog="python -m lakeloom.train.oracle",
        description=__doc__,
        epilog=f"Within the limits: logits {MAX_LOGIT:g}, losses {MAX_LOSS:g}. Exit code 1 where one is not.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path)
    try:
        reference = load(parser.parse_args(arguments).folder)
        differences = [("logits of the start weights", logits_difference(reference), MAX_LOGIT)]
        for name, run in (("plain PyTorch", by_pytorch), ("DeepSpeed", by_deepspeed)):
            found = np.abs(np.array(run(reference)) - np.array(reference.losses)).max()
            differences.append((f"losses of {reference.recipe.num_steps} steps, {name}", float(found), MAX_LOSS))
    except LakeloomError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return error.exit_code
    sys.stdout.write(f"{'compared with open_lm':40} {'largest difference':>18} {'limit':>8}\n")
    for name, difference, limit in differences:
        sys.stdout.write(
            f"{name:40} {difference:>18.2e} {limit:>8.0e}  {'ok' if difference <= limit else 'DIFFERENT'}\n"
        )
    return int(not all(difference <= limit for _, difference, limit in differences))


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    code = main(sys.argv[1:])
    if dist.is_initialized():
        dist.destroy_process_group()
    sys.exit(code)
