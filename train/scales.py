"""The scales of conf/scale: what a model of each has, and what training it takes (FLOPs as 6 per parameter and token).

Parameters are counted as DCLM counts them; the gains of its query and key norms (2 x layers x width) are counted apart.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib.resources import files
from typing import cast

from omegaconf import OmegaConf

from lakeloom.lakehouse.errors import unknown
from lakeloom.train.config import ScaleConfig

_VOCABULARY = 4096  # of conf/tokenizer/sample.yaml, which the demo fits

_COLUMNS = ("scale", "parameters", "qk gains", "tokens", "steps", "FLOPs", "L x D x H", "batch", "warm-up", "rate")


def names() -> list[str]:
    """The scales' names, sorted."""
    found = (item.name for item in (files("lakeloom.conf") / "scale").iterdir())
    return sorted(name.removesuffix(".yaml") for name in found if name.endswith(".yaml"))


def fields(name: str, where: str) -> dict[str, object]:
    """The fields of a scale's file, as they are. Raises ConfigError, naming the nearest, where there is none."""
    if name not in names():
        raise unknown("scale", name, names(), where)
    text = (files("lakeloom.conf") / "scale" / f"{name}.yaml").read_text("utf-8")
    return cast("dict[str, object]", OmegaConf.to_object(OmegaConf.create(text)))


def load(name: str, where: str) -> ScaleConfig:
    """A scale as its file has it. Raises ConfigError as fields does."""
    return ScaleConfig(**fields(name, where))  # type: ignore[arg-type]  # the file's fields, which tests compare


def table(vocab_size: int) -> str:
    """A row a scale, smallest first; scales that take their vocabulary from the tokenizer get this one."""
    scales = [load(name, "scales") for name in names()]
    rows = sorted((_row(scale, vocab_size) for scale in scales), key=lambda row: row[0])
    lines = [_COLUMNS, *[row for _, row in rows]]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip() for line in lines
    )


def _row(scale: ScaleConfig, vocab_size: int) -> tuple[tuple[int, int], tuple[str, ...]]:
    model = scale.model(vocab_size)
    tokens = scale.num_tokens(model)
    steps = tokens // (scale.global_batch * scale.seq_len)
    return (model.num_parameters, tokens), (
        scale.name,
        f"{model.num_parameters:,}",
        f"{2 * scale.num_layers * scale.dim:,}",
        f"{tokens:,}",
        f"{steps:,}",
        f"{6 * model.num_parameters * tokens:.2e}",
        f"{scale.num_layers} x {scale.dim} x {scale.num_heads}",
        f"{scale.global_batch:,} x {scale.seq_len:,}",
        f"{scale.warmup:,}",
        f"{scale.lr:g}",
    )


def main(arguments: Sequence[str]) -> int:
    """Print the table; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m lakeloom.train.scales", description=__doc__)
    about = f"vocabulary of the tokenizer, for scales that take it from there ({_VOCABULARY}, the demo's)"
    parser.add_argument("vocabulary", nargs="?", type=int, default=_VOCABULARY, help=about)
    sys.stdout.write(table(parser.parse_args(arguments).vocabulary) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
