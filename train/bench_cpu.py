"""A training step on a CPU beside a plain PyTorch loop of the same model, the reading of batches, and the start.

Both take their steps by turns in one process, on the same batches, threads and precision of matrix products; the
medians are compared. The start is that of the processes which lakeloom train starts, to their first step.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from lakeloom.lakehouse.errors import Incomplete, LakeloomError
from lakeloom.lakehouse.shards import ShardReader
from lakeloom.train import config, journal, launch, optim, plain, scales, scratch
from lakeloom.train import plan as planning
from lakeloom.train.data import Batches
from lakeloom.train.engine import Engine, join
from lakeloom.train.loss import Objective
from lakeloom.train.model import Decoder
from lakeloom.train.plan import Plan

RATIO, LOADER, START_S = 1.15, 0.02, 30.0
WARM_UP = 3
_START_LIMIT_S = 300.0


def main(arguments: Sequence[str]) -> int:
    """Print the measurements and their goals; exit code 1 where one is missed."""
    parser = argparse.ArgumentParser(prog="python -m lakeloom.train.bench_cpu", description=__doc__)
    parser.add_argument("scale", nargs="?", default="demo", help="a file of conf/scale, without .yaml (demo)")
    parser.add_argument("--steps", type=int, default=20, help="steps timed of each (20)")
    asked = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as folder:
            plan = _plan(asked.scale, Path(folder, "data"))
            start_s = first_step_s(plan, Path(folder))
            ours, plain, read = timed(plan, asked.steps)
    except LakeloomError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return error.exit_code
    lines = [
        (f"start to first step, {plan.nproc} processes", f"{start_s:.1f} s", START_S, start_s),
        (f"step of {asked.scale}, {1000 * ours:.0f} ms, over PyTorch's", f"{ours / plain:.2f}", RATIO, ours / plain),
        ("reading a batch, share of a step", f"{read / ours:.4f}", LOADER, read / ours),
    ]
    for name, said, goal, value in lines:
        sys.stdout.write(f"{'ok  ' if value <= goal else 'FAIL'} {name:45} {said:>8} (goal: {goal:g} or less)\n")
    return int(any(value > goal for _, _, goal, value in lines))


def timed(plan: Plan, num_steps: int) -> tuple[float, float, float]:
    """Medians in seconds: our step with its batch read, the plain loop's with the same batch, the reading alone."""
    world, scale = join(plan), plan.cfg.scale
    decoder, other = Decoder(plan.model), Decoder(plan.model)
    decoder.initialize(0)
    other.initialize(0)
    engine = Engine(Objective(decoder, scale.z_loss), plan, world)
    optimizer = optim.adamw(other.parameters(), lr=scale.lr, weight_decay=scale.weight_decay)
    batches = Batches(ShardReader(plan.manifest), 0, scale.global_batch)
    ours_s, plain_s, read_s = list[float](), list[float](), list[float]()
    for step in range(WARM_UP + num_steps):
        began = time.perf_counter()
        batch = batches.batch(step)
        read_s.append(time.perf_counter() - began)
        engine.step(batch, scale.lr)
        ours_s.append(time.perf_counter() - began)
        began = time.perf_counter()
        plain.step(other, optimizer, torch.from_numpy(batch), engine.micro_batch, scale.z_loss)
        plain_s.append(time.perf_counter() - began)
    ours, bare, read = (statistics.median(times[WARM_UP:]) for times in (ours_s, plain_s, read_s))
    return ours, bare + read, read


def first_step_s(plan: Plan, top: Path) -> float:
    """Seconds from the start of the training processes to the first line of losses.jsonl. Incomplete without one."""
    path = top / "train.json"
    config.save(plan.cfg, path)
    environment = launch.environment(max(1, (os.cpu_count() or 1) // plan.nproc))
    began = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603  # ourselves
        launch.command(plan.nproc, path), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    losses = plan.folder / journal.NAME
    while not (losses.is_file() and losses.stat().st_size):
        if process.poll() is not None or time.perf_counter() - began > _START_LIMIT_S:
            process.kill()
            raise Incomplete(f"no step was taken within {time.perf_counter() - began:.0f} s; try: lakeloom train")
        time.sleep(0.02)
    taken = time.perf_counter() - began
    process.terminate()
    process.wait()
    return taken


def _plan(name: str, folder: Path) -> Plan:
    scale = scales.fields(name, "bench")
    made = scales.load(name, "bench")
    vocabulary = made.vocab_size or 4096
    ranks = np.random.default_rng(0).zipf(1.2, (1024, made.seq_len + 1))
    scratch.write_dataset(folder, (ranks % vocabulary).astype(np.uint32), vocabulary)
    run: dict[str, object] = {"device": "cpu", "nproc": None}
    return planning.make(scratch.configuration(scale, folder, run, "bench"))


if __name__ == "__main__":
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    code = main(sys.argv[1:])
    if dist.is_initialized():
        dist.destroy_process_group()
    sys.exit(code)
