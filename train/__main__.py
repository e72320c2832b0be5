"""One training process: `torchrun --standalone --nproc-per-node N -m lakeloom.train CONFIG.json`, or python for one.

Exit codes: 0 trained, found or stopped by SIGTERM with its state saved; 1 failed; 2 misuse.
"""

import logging
import os
import shlex
import sys
from pathlib import Path

import torch.distributed as dist

from lakeloom.lakehouse.errors import ConfigError, LakeloomError
from lakeloom.train import config, loop
from lakeloom.train.launch import command
from lakeloom.train.result import TrainResult


def main(arguments: list[str]) -> int:
    """Train by a JSON configuration file; the exit code."""
    # DeepSpeed's launcher adds the one, Spark's DeepspeedTorchDistributor the other.
    paths = [
        argument for argument in arguments if argument != "--deepspeed" and not argument.startswith("--local_rank")
    ]
    rank = os.environ.get("RANK", "0")
    is_first = rank == "0"
    logging.basicConfig(level=logging.INFO if is_first else logging.WARNING, format="%(message)s")
    if len(paths) != 1:
        sys.stderr.write("usage: python -m lakeloom.train CONFIG.json\n")
        return 2
    try:
        cfg = config.load(Path(paths[0]))
        if cfg.seeds != 1:
            raise ConfigError(
                f"{paths[0]}: seeds={cfg.seeds}, but these processes train one model; lakeloom train has it"
            )
        result = loop.run(cfg)
    except LakeloomError as error:
        # Before they join, all processes find the same. After that one may be alone with a broken sequence.
        if is_first or dist.is_initialized():
            sys.stderr.write(f"{'' if is_first else f'process {rank}: '}{type(error).__name__}: {error}\n")
        return error.exit_code
    if is_first:
        sys.stdout.write(_said(result, Path(paths[0])) + "\n")
    return 0


def _said(result: TrainResult, path: Path) -> str:
    if result.status == "stopped":
        resume = shlex.join(command(int(os.environ.get("WORLD_SIZE", "1")), path))
        return f"stopped after step {result.steps}, saved in {result.folder}; go on with: {resume}"
    return f"{result.status} {result.folder}: {result.steps} steps, {result.tokens} tokens, loss {result.loss:.4f}"


if __name__ == "__main__":
    code = main(sys.argv[1:])
    if dist.is_initialized():
        dist.destroy_process_group()
    sys.exit(code)
