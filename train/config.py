"""What a training run is asked to do. The defaults stand in conf/job/train.yaml and conf/scale/*.yaml.

Light to import (no torch), so that the command line can check a configuration before anything starts.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lakeloom.lakehouse import names
from lakeloom.lakehouse.errors import ConfigError

NORM_EPS = 1e-5
TOKENS_PER_PARAMETER = 20  # Chinchilla's (arXiv 2203.15556), which DCLM's multipliers are of


@dataclass(frozen=True)
class ModelConfig:
    """Shape of the decoder; everything else about it is DCLM's and fixed."""

    vocab_size: int
    seq_len: int
    dim: int
    num_layers: int
    num_heads: int
    ffn_hidden: int

    @property
    def num_parameters(self) -> int:
        """Parameters as DCLM counts them: embeddings included, the gains of query and key norms (2LD) left out."""
        block = 4 * self.dim**2 + 3 * self.dim * self.ffn_hidden + 2 * self.dim
        return self.num_layers * block + 2 * self.vocab_size * self.dim + self.dim


@dataclass(frozen=True)
class ScaleConfig:
    """One row of DCLM's table of scales (its training/configs): a model's shape and how it is trained."""

    name: str
    dim: int
    num_layers: int
    num_heads: int
    ffn_hidden: int | None  # null: 256 * ceil((8 dim / 3) / 256)
    vocab_size: int | None  # null: the tokenizer's
    seq_len: int
    multiplier: float  # of the 20 tokens a parameter
    tokens: int | None  # null: 20 x parameters x multiplier
    global_batch: int  # sequences a step
    accumulation: int  # micro-batches a step, where train.micro_batch is null
    warmup: int  # steps
    lr: float
    cooldown_lr: float
    weight_decay: float
    z_loss: float

    def num_tokens(self, model: ModelConfig) -> int:
        """Tokens that it is trained on."""
        if self.tokens is not None:
            return self.tokens
        return int(TOKENS_PER_PARAMETER * model.num_parameters * self.multiplier)

    def model(self, dataset_vocab: int) -> ModelConfig:
        """The decoder for a dataset whose tokens are below dataset_vocab."""
        hidden = self.ffn_hidden or 256 * -(-int(8 * self.dim / 3) // 256)
        vocab = self.vocab_size or dataset_vocab
        return ModelConfig(vocab, self.seq_len, self.dim, self.num_layers, self.num_heads, hidden)


@dataclass(frozen=True)
class TrainConfig:
    """One training run: data, scale, machine, and where its results go."""

    scale: ScaleConfig
    dataset: str  # folder of an exported dataset
    models: str  # folder under which the model's own folder is made
    seed: int
    seeds: int  # models, one after another: of seed, seed + 1, ...
    start: str | None  # folder of the model or checkpoint to begin with; null: a new model
    decay: str  # of the learning rate after the warm-up: cosine, linear
    tracking_uri: str | None  # MLflow store; null: only losses.jsonl
    experiment: str
    registered_model: str | None  # name in MLflow whose next version the model is; null: none
    nproc: int | None  # processes on this machine; null: one a GPU, or two on a CPU that has two cores
    threads: int | None  # CPU threads a process; null: cores / nproc
    device: str  # auto, cpu, cuda
    precision: str  # auto, fp32, mixed, bf16
    micro_batch: int | None  # sequences a process and micro-step; null: by scale.accumulation
    compile: str  # off, blocks, model; auto: blocks on a GPU, off on a CPU
    attention: str  # auto, flash, cudnn, efficient, math
    loss_chunk: int | None  # tokens whose logits are in memory at a time; null: by the device
    zero_stage: int  # 1, 2, 3
    allow_repeats: bool  # more than one epoch
    verify: bool  # compare each shard's SHA-256 when it is first read
    validations: int  # measurements of bits per byte on held-out documents, the last at the end
    validation_bytes: int  # text of them
    save_every: int  # steps between checkpoints; 0: only when told to stop
    keep: int  # newest checkpoints kept while training
    keep_every: int  # checkpoints at a multiple of so many steps stay for good; 0: none
    average: int  # last checkpoints, the end included, whose mean is a model of its own; 0: none
    max_skipped: int  # steps in a row without finite gradients that don't stop the run


@dataclass(frozen=True)
class ImportModelConfig:
    """A model of DCLM's trainer, its shape (that of a scale), and where it goes; see conf/job/import_model.yaml."""

    scale: ScaleConfig
    checkpoint: str
    tokenizer_file: str
    name: str
    dataset: str
    tokens: int
    models: str

    def __post_init__(self) -> None:
        names.check(self.name, "import_model.name")


def load(path: Path) -> TrainConfig:
    """Read a JSON configuration file; anything wrong with it is a ConfigError."""
    try:
        values: object = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"no readable JSON configuration {path}: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a JSON object with the fields of TrainConfig")
    return checked(values, str(path))


def checked(values: Mapping[str, object], where: str) -> TrainConfig:
    """Check names, types and presence of every field."""
    schema = OmegaConf.structured(TrainConfig)
    # Frozen dataclasses make read-only nodes, and merge lifts that of the root only.
    OmegaConf.set_readonly(schema, False)
    schema.scale = scale = OmegaConf.structured(ScaleConfig)
    OmegaConf.set_readonly(scale, False)
    try:
        made: object = OmegaConf.to_object(OmegaConf.merge(schema, values))
    except OmegaConfBaseException as error:
        raise ConfigError(f"{where}: {str(error).splitlines()[0]} ({error.full_key})") from error
    if not isinstance(made, TrainConfig):
        raise TypeError(f"expected TrainConfig, made {type(made)}")
    return made


def save(cfg: TrainConfig, path: Path) -> None:
    """Write the JSON configuration file that load reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(cfg), indent=1) + "\n", "utf-8")
