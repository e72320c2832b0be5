"""Speed of training: tokens a second, MFU and memory of a scale under several settings, and where the time goes.

Whole steps of the trainer are timed, reading the batch included, on made-up tokens spread as words are (Zipf) and on
weights drawn at once on the device: neither changes the arithmetic. MFU counts all of attention (train/flops.py).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.distributed as dist
from torch.profiler import ProfilerActivity, profile

from lakeloom.lakehouse.errors import ConfigError, LakeloomError, unknown
from lakeloom.lakehouse.shards import ShardReader
from lakeloom.train import plan as planning
from lakeloom.train import scales, scratch
from lakeloom.train.config import TrainConfig
from lakeloom.train.data import Batches
from lakeloom.train.engine import Engine, join
from lakeloom.train.flops import flops_per_token, peak_flops
from lakeloom.train.launch import environment
from lakeloom.train.loss import Objective
from lakeloom.train.model import Decoder
from lakeloom.train.plan import Plan

WARM_UP = 2
_EXAMPLE = """examples:
  python -m lakeloom.train.bench 400m_1x --steps 3 --try micro_batch=32
  python -m lakeloom.train.bench 400m_1x --accumulation 4 --try micro_batch=16 --try compile=off,micro_batch=16"""


@dataclass(frozen=True)
class Speed:
    """What a setting reached; the rates are the median's of the steps timed."""

    scale: str
    setting: str
    device: str
    tokens_per_s: float
    mfu: float | None  # None where the device's peak is not known
    memory_gib: float | None  # the most that torch held on the GPU
    loader_share: float
    first_step_s: float  # compilation
    loss: float
    error: str = ""

    def line(self) -> str:
        """One row of the table."""
        if self.error:
            return f"{self.scale:8} {self.setting:58} {self.error}"
        mfu = "-" if self.mfu is None else f"{100 * self.mfu:.1f} %"
        memory = "-" if self.memory_gib is None else f"{self.memory_gib:.1f} GiB"
        rates = f"{self.tokens_per_s:>10,.0f} {mfu:>7} {memory:>9} {100 * self.loader_share:>6.2f} %"
        return f"{self.scale:8} {self.setting:58} {rates} {self.first_step_s:>7.1f} s {self.loss:8.3f}"


HEADER = f"{'scale':8} {'setting':58} {'tokens/s':>10} {'MFU':>7} {'memory':>9} {'loader':>8} {'first':>9} {'loss':>8}"


def main(arguments: Sequence[str]) -> int:
    """Run the settings asked for, print a table, write it as JSON lines where asked; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m lakeloom.train.bench",
        description=__doc__,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scale", help="a file of conf/scale, without .yaml")
    parser.add_argument("--try", dest="settings", action="append", metavar="NAME=VALUE,...", help="fields of train")
    parser.add_argument("--steps", type=int, default=5, help="steps timed, after two that are not (5)")
    parser.add_argument("--accumulation", type=int, help="micro-batches a step, in place of the scale's whole batch")
    parser.add_argument("--profile", action="store_true", help="then a table of the kernels")
    parser.add_argument("--bare", action="store_true", help="no heading")
    parser.add_argument("--out", type=Path, help="JSON lines are added to this file")
    asked = parser.parse_args(arguments)
    settings = asked.settings or [""]
    if len(settings) > 1:
        return _each_alone(asked, settings)
    try:
        with tempfile.TemporaryDirectory() as folder:
            cfg = _configuration(asked.scale, settings[0], asked.accumulation, Path(folder, "data"))
            speed, table = measure(cfg, settings[0], asked.steps, is_profiled=asked.profile)
    except LakeloomError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return error.exit_code
    sys.stdout.write(("" if asked.bare else HEADER + "\n") + f"{speed.line()}\n{table}")
    if asked.out:
        with asked.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(vars(speed)) + "\n")
    return 0


def _each_alone(asked: argparse.Namespace, settings: Sequence[str]) -> int:
    """Each setting in a process of its own: memory that one leaves behind must not count for the next."""
    same = [asked.scale, "--bare", "--steps", str(asked.steps)]
    same += ["--accumulation", str(asked.accumulation)] if asked.accumulation else []
    same += ["--profile"] if asked.profile else []
    same += ["--out", str(asked.out)] if asked.out else []
    codes = list[int]()
    sys.stdout.write(HEADER + "\n")
    for setting in settings:
        sys.stdout.flush()
        command = [sys.executable, "-m", "lakeloom.train.bench", *same, "--try", setting]
        # Without the meeting place that a run in this process left.
        alone = environment(os.cpu_count() or 1)
        code = subprocess.run(command, check=False, env=alone).returncode  # noqa: S603  # ourselves
        if code not in (0, 2):
            sys.stdout.write(f"{asked.scale:8} {setting:58} ended with exit code {code}\n")
        codes.append(abs(code))
    return max(codes)


def measure(cfg: TrainConfig, setting: str, num_steps: int, *, is_profiled: bool = False) -> tuple[Speed, str]:
    """Time the steps of a run; (its speed, the profiler's table or nothing). Too little memory is a row too."""
    plan = planning.make(cfg)
    try:
        return _measure(plan, setting, num_steps, is_profiled=is_profiled)
    except torch.OutOfMemoryError as error:
        name = str(error).split(".")[0]
        return Speed(cfg.scale.name, setting, plan.device, 0.0, None, None, 0.0, 0.0, 0.0, error=name), ""


def _measure(plan: Plan, setting: str, num_steps: int, *, is_profiled: bool) -> tuple[Speed, str]:
    world = join(plan)
    torch.manual_seed(plan.cfg.seed)
    with world.device:
        decoder = Decoder(plan.model)
    engine = Engine(Objective(decoder, plan.cfg.scale.z_loss, plan.cfg.loss_chunk), plan, world)
    batches = Batches(ShardReader(plan.manifest), plan.cfg.seed, plan.cfg.scale.global_batch)
    taken, read, loss = list[float](), list[float](), 0.0
    for step in range(WARM_UP + num_steps):
        began = time.perf_counter()
        batch = batches.batch(step, world.rank, world.size)
        read.append(time.perf_counter() - began)
        loss = engine.step(batch, plan.cfg.scale.lr / 100).loss
        taken.append(time.perf_counter() - began)
    table = _kernels(engine, batches, plan) if is_profiled else ""
    seconds = statistics.median(taken[WARM_UP:])
    tokens_per_s = plan.tokens_per_step / seconds
    name = torch.cuda.get_device_name() if plan.device == "cuda" else "cpu"
    peak = peak_flops(name)
    mfu = tokens_per_s * flops_per_token(plan.model) / (peak * world.size) if peak else None
    memory = torch.cuda.max_memory_allocated() / 2**30 if plan.device == "cuda" else None
    share = statistics.median(read[WARM_UP:]) / seconds
    return Speed(plan.cfg.scale.name, setting, name, tokens_per_s, mfu, memory, share, taken[0], loss), table


def _kernels(engine: Engine, batches: Batches, plan: Plan) -> str:
    is_gpu = plan.device == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if is_gpu else [])]
    with profile(activities=activities) as profiler:
        engine.step(batches.batch(0, engine.world.rank, engine.world.size), plan.cfg.scale.lr / 100)
    order = "self_cuda_time_total" if is_gpu else "self_cpu_time_total"
    averages = profiler.key_averages()
    rows = sorted(averages, key=lambda row: -_self_time(row, is_gpu=is_gpu))
    whole = sum(_self_time(row, is_gpu=is_gpu) for row in rows)
    lines = (
        f"{100 * _self_time(row, is_gpu=is_gpu) / whole:6.2f} % {row.count:6} {row.key[:110]}" for row in rows[:40]
    )
    return f"share of {whole / 1e3:.1f} ms by {order}, calls, kernel\n" + "\n".join(lines) + "\n"


def _self_time(row: object, *, is_gpu: bool) -> float:
    if not is_gpu:
        return cast("float", row.self_cpu_time_total)  # type: ignore[attr-defined]  # torch
    # The operator that launched a kernel carries the kernel's time a second time.
    is_kernel = str(row.device_type).endswith("CUDA")  # type: ignore[attr-defined]  # torch
    return cast("float", row.self_device_time_total) if is_kernel else 0.0  # type: ignore[attr-defined]  # torch


def _configuration(scale_name: str, setting: str, accumulation: int | None, folder: Path) -> TrainConfig:
    scale = scales.fields(scale_name, "bench")
    scale["vocab_size"] = scale["vocab_size"] or 8192
    run = _fields(setting)
    if accumulation:
        micro = run.get("micro_batch")
        if not isinstance(micro, int):
            raise ConfigError("--accumulation counts micro-batches: say how large one is, by --try micro_batch=16")
        scale["global_batch"] = micro * accumulation
    batch, seq_len = cast("int", scale["global_batch"]), cast("int", scale["seq_len"])
    scale |= {"tokens": 1000 * batch * seq_len, "warmup": 10}
    ranks = np.random.default_rng(0).zipf(1.2, (min(1024, 2 * batch), seq_len + 1))
    vocab_size = cast("int", scale["vocab_size"])
    scratch.write_dataset(folder, (ranks % vocab_size).astype(np.uint32), vocab_size)
    return scratch.configuration(scale, folder, run, "bench")


_TRIED = ("attention", "compile", "device", "loss_chunk", "micro_batch", "precision", "threads", "zero_stage")


def _fields(setting: str) -> dict[str, object]:
    fields = dict[str, object]()
    for pair in setting.split(",") if setting else ():
        name, equals, value = pair.partition("=")
        if not equals or name not in _TRIED:
            raise unknown("setting", pair, _TRIED, "bench --try")
        fields[name] = int(value) if value.isdigit() else None if value == "null" else value
    return fields


if __name__ == "__main__":
    code = main(sys.argv[1:])
    if dist.is_initialized():
        dist.destroy_process_group()
    sys.exit(code)
