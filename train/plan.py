"""What a run will do, worked out and checked before anything is loaded or written: steps, tokens, identity, folder."""

import hashlib
import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from lakeloom.lakehouse import names, takedowns
from lakeloom.lakehouse.errors import BadInput, ConfigError, unknown
from lakeloom.lakehouse.ids import Json, identity
from lakeloom.lakehouse.shards import Manifest
from lakeloom.train import attention, checkpoint, optim, start
from lakeloom.train.config import ModelConfig, TrainConfig
from lakeloom.train.loss import MAX_LOGITS

# Of a GPU's memory, what is planned with; the rest is for NCCL, fragments and the kernels themselves.
_USED = 0.9
_LOGIT_BYTES = 12  # of each logit of a chunk, with its fp32 copies and the sums of the output matrix's gradient

_SHA_DIGITS = 6  # of the weights that a run begins with, in its name
_SOME = math.ulp(0.0)  # the least above 0
_LEAST: dict[str, float] = {
    **{f"scale.{name}": 1 for name in ("dim", "num_layers", "num_heads", "ffn_hidden", "vocab_size", "seq_len")},
    **{f"scale.{name}": 1 for name in ("tokens", "global_batch", "accumulation")},
    **{f"scale.{name}": _SOME for name in ("multiplier", "lr")},
    **{f"scale.{name}": 0 for name in ("warmup", "cooldown_lr", "weight_decay", "z_loss")},
    **{f"train.{name}": 1 for name in ("seeds", "nproc", "threads", "micro_batch", "loss_chunk")},
    **{f"train.{name}": 0 for name in ("seed", "validations", "save_every", "keep_every", "average", "max_skipped")},
    **{f"train.{name}": 1 for name in ("validation_bytes", "keep")},
}

_ZERO_STAGES = (1, 2, 3)
# Seen with DeepSpeed 0.19.8.
_ZERO_TRAPS = {
    0: "with bf16 it takes a hidden optimizer step on zero gradients, in fp32 it reports no gradient norm",
}


@dataclass(frozen=True)
class Plan:
    """A checked run. `train_id` names what decides the weights: data, model, hyperparameters, seed, precision."""

    cfg: TrainConfig
    manifest: Manifest
    model: ModelConfig
    device: str  # cpu, cuda
    precision: str  # fp32, mixed, bf16
    compiled: str  # off, blocks, model
    nproc: int
    max_micro: int | None  # sequences that a GPU's memory holds in a micro-step; None on a CPU
    num_steps: int
    train_id: str
    start: start.Start | None  # None: a new model

    @property
    def name(self) -> str:
        """Readable name of the model, its dataset's first; what it began with, if anything, last."""
        after = f"-after-{self.start.model_sha[:_SHA_DIGITS]}" if self.start else ""
        return f"{self.manifest.dataset.name}-{self.cfg.scale.name}-s{self.cfg.seed}{after}"

    @property
    def folder(self) -> Path:
        """Where the model is written."""
        return Path(self.cfg.models, f"{self.name}-{self.train_id[:12]}")

    @property
    def tokens_per_step(self) -> int:
        """Tokens that are predicted in a step, over all processes."""
        return self.cfg.scale.global_batch * self.model.seq_len

    def split(self, world: int) -> tuple[int, int]:
        """(sequences a process and micro-step, micro-steps a step); ConfigError where the batch does not divide."""
        scale = self.cfg.scale
        share, rest = divmod(scale.global_batch, world)
        micro = self.cfg.micro_batch or self._micro(share)
        if rest or share % micro:
            raise ConfigError(
                f"a batch of {scale.global_batch} sequences does not divide among {world} processes in micro-batches "
                f"of {micro}; set train.micro_batch or train.nproc"
            )
        return micro, share // micro

    def _micro(self, share: int) -> int:
        wanted = max(1, share // self.cfg.scale.accumulation)
        if self.max_micro is None:
            return wanted
        most = min(wanted, self.max_micro)
        return max(size for size in range(1, most + 1) if share % size == 0)


def largest_micro(
    model: ModelConfig, num_bytes: int, compiled: str, world: int = 1, *, kernel: str = "auto", chunk: int | None = None
) -> int:
    """Sequences of a bf16 micro-step that fit a GPU of that memory, at least one; an H200 held 3 to 5 % less.

    Bytes a parameter, ZeRO-1 in bf16: weights, gradients and their sums 8 in each process (as DeepSpeed 0.19.8 keeps
    them), master weights and moments 12 shared. Bytes a token, layer and width: what autograd keeps of a block. The
    kernel `math` keeps the attention's matrix too, 4 bytes a pair of positions and head. `chunk`: tokens of the loss.
    """
    state = model.num_parameters * (8 + 12 / world)
    kept = (55.0 if compiled == "off" else 36.5) * model.dim * model.num_layers * model.seq_len
    if kernel == "math":
        kept += 4.0 * model.num_heads * model.num_layers * model.seq_len**2
    logits = chunk * model.vocab_size if chunk else MAX_LOGITS["cuda"]
    return max(1, int((_USED * num_bytes - state - _LOGIT_BYTES * logits) / kept))


def make(cfg: TrainConfig) -> Plan:
    """Work out a run; whatever is wrong with the request is a ConfigError, with broken data a BadInput."""
    manifest = Manifest.load(Path(cfg.dataset))
    device, precision = _machine(cfg)
    if cfg.decay not in optim.DECAYS:
        raise unknown("decay", cfg.decay, optim.DECAYS, "train.decay")
    compiled = _compilation(cfg, device, precision)
    _check_numbers(cfg)
    model = cfg.scale.model(manifest.dataset.vocab_size)
    _check_fit(model, manifest)
    num_steps = _steps(cfg, model, manifest)
    _check_saves(cfg, num_steps)
    scale = asdict(cfg.scale)
    decisive = {name: scale[name] for name in ("global_batch", "warmup", "lr", "cooldown_lr", "weight_decay", "z_loss")}
    begun = start.find(Path(cfg.start), model, manifest.dataset.tokenizer_sha) if cfg.start else None
    parts: list[Json] = [manifest.dataset.export_id, asdict(model), decisive, num_steps, cfg.seed, precision]
    parts += [{"start": begun.model_sha}] if begun else []
    parts += [{"decay": cfg.decay}] if cfg.decay != "cosine" else []
    # Without what was taken out meanwhile it is another run: one that is resumed must not mix the two.
    taken = [one.doc_id for one in takedowns.of_dataset(manifest.folder)]
    parts += [{"takedowns": taken}] if taken else []
    train_id = identity("train", *parts)
    nproc = cfg.nproc or _processes(device)
    memory = torch.cuda.get_device_properties(0).total_memory if device == "cuda" else None
    # Values of four bytes take twice the room.
    room = memory if memory is None or precision == "bf16" else memory // 2
    kernel, chunk = cfg.attention, cfg.loss_chunk
    most = largest_micro(model, room, compiled, nproc, kernel=kernel, chunk=chunk) if room else None
    plan = Plan(cfg, manifest, model, device, precision, compiled, nproc, most, num_steps, train_id, begun)
    plan.split(plan.nproc)
    return plan


def _machine(cfg: TrainConfig) -> tuple[str, str]:
    if cfg.device not in ("auto", "cpu", "cuda"):
        raise unknown("device", cfg.device, ("auto", "cpu", "cuda"), "train.device")
    if cfg.precision not in ("auto", "fp32", "mixed", "bf16"):
        raise unknown("precision", cfg.precision, ("auto", "fp32", "mixed", "bf16"), "train.precision")
    if cfg.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("train.device=cuda, but torch sees no CUDA device here; use train.device=auto or cpu")
    device = ("cuda" if torch.cuda.is_available() else "cpu") if cfg.device == "auto" else cfg.device
    return device, ("bf16" if device == "cuda" else "mixed") if cfg.precision == "auto" else cfg.precision


def _compilation(cfg: TrainConfig, device: str, precision: str) -> str:
    """Check what changes only the speed; the extent of compilation."""
    if cfg.compile not in ("auto", "off", "blocks", "model"):
        raise unknown("extent of compilation", cfg.compile, ("auto", "off", "blocks", "model"), "train.compile")
    attention.check(cfg.attention)
    if cfg.attention not in ("auto", "math") and device == "cpu":
        raise ConfigError(f"train.attention={cfg.attention} is a GPU's kernel, the device is a CPU; use auto or math")
    if cfg.attention in ("flash", "cudnn") and precision != "bf16":
        raise ConfigError(f"train.attention={cfg.attention} takes bf16 only, the precision is {precision}; use auto")
    if cfg.zero_stage not in _ZERO_STAGES:
        reason = _ZERO_TRAPS.get(cfg.zero_stage, "DeepSpeed has no such stage")
        raise ConfigError(f"train.zero_stage={cfg.zero_stage}: {reason}; use 1, 2 or 3")
    if cfg.zero_stage == 3 and cfg.compile not in ("auto", "off"):
        raise ConfigError(
            f"train.compile={cfg.compile}: under zero_stage=3 its graph breaks at every parameter; use off"
        )
    return ("blocks" if device == "cuda" and cfg.zero_stage < 3 else "off") if cfg.compile == "auto" else cfg.compile


def _processes(device: str) -> int:
    # Two processes of one thread keep 4 times the pace of one with two where others want a core too: OpenMP's threads
    # wait for each other at every operation. Alone they are as fast.
    return torch.cuda.device_count() if device == "cuda" else min(2, os.cpu_count() or 1)


def _check_fit(model: ModelConfig, manifest: Manifest) -> None:
    dataset = manifest.dataset
    if dataset.seq_len != model.seq_len + 1:
        raise ConfigError(
            f"{manifest.folder}: sequences of {dataset.seq_len} tokens, a context of {model.seq_len} needs "
            f"{model.seq_len + 1}; export the dataset with that length or choose another scale"
        )
    if dataset.vocab_size > model.vocab_size:
        raise ConfigError(
            f"{manifest.folder}: vocabulary of {dataset.vocab_size}, the model's is {model.vocab_size}; "
            "set scale.vocab_size=null to take the tokenizer's"
        )
    tokenizer = manifest.folder / dataset.tokenizer_file
    if not tokenizer.is_file():
        raise BadInput(f"{tokenizer} is missing; export the dataset again")
    checkpoint.check_extra(tokenizer)
    if hashlib.sha256(tokenizer.read_bytes()).hexdigest() != dataset.tokenizer_sha:
        raise BadInput(f"{tokenizer} is not the tokenizer that the dataset was made with; export the dataset again")
    if model.dim % (2 * model.num_heads):
        raise ConfigError(f"scale.dim={model.dim} is not a multiple of twice scale.num_heads={model.num_heads}")


def _check_numbers(cfg: TrainConfig) -> None:
    """The least that each number may be, before anything is divided by it; null where that stands for a default."""
    names.check(cfg.scale.name, "scale.name")
    if cfg.registered_model is not None:
        names.check(cfg.registered_model, "train.registered_model")
    for name, least in _LEAST.items():
        where, _, field = name.rpartition(".")
        value = getattr(cfg.scale if where == "scale" else cfg, field)
        if value is not None and not least <= value < math.inf:
            said = "more than 0" if least == _SOME else f"{least} or more"
            raise ConfigError(f"{where}.{field}={value}: give {said}")


def _check_saves(cfg: TrainConfig, num_steps: int) -> None:
    if cfg.keep_every and (not cfg.save_every or cfg.keep_every % cfg.save_every):
        raise ConfigError(
            f"train.keep_every={cfg.keep_every} must be a multiple of train.save_every={cfg.save_every}, above 0"
        )
    if cfg.average and not 0 < (cfg.average - 1) * cfg.save_every < num_steps:
        raise ConfigError(
            f"train.average={cfg.average}: {num_steps} steps with train.save_every={cfg.save_every} leave fewer "
            "checkpoints; give 2 or more, and save more often"
        )


def _steps(cfg: TrainConfig, model: ModelConfig, manifest: Manifest) -> int:
    scale, dataset = cfg.scale, manifest.dataset
    wanted = scale.num_tokens(model)
    num_steps = wanted // (scale.global_batch * model.seq_len)
    if num_steps <= scale.warmup:
        raise ConfigError(
            f"{wanted} tokens are {num_steps} steps of {scale.global_batch} sequences, not more than the warm-up of "
            f"{scale.warmup}; train on more tokens or set scale.warmup"
        )
    available = dataset.num_sequences * model.seq_len
    if wanted > available and not cfg.allow_repeats:
        raise ConfigError(
            f"scale {scale.name} needs {wanted} tokens, the dataset {dataset.name} has {available}: "
            f"{wanted / available if available else float('inf'):.2f} epochs; pass train.allow_repeats=true"
        )
    if not available:
        raise ConfigError(f"{manifest.folder}: the dataset has no sequences")
    return num_steps
