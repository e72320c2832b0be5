"""Start the training processes of a configuration on this machine and wait for them.

The request is checked here first, so that a wrong one costs no process and is one line. One process is started plainly,
several by torchrun.
"""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from lakeloom.lakehouse.errors import Incomplete
from lakeloom.train import checkpoint, config, registration, saves
from lakeloom.train import plan as planning
from lakeloom.train.plan import Plan
from lakeloom.train.result import TrainResult, find

# After a SIGTERM, for the step under way and its checkpoint; torchrun would kill its processes after 30.
_SAVING_S = 1800
# What torchrun tells its processes. A process that trained before, in this one, may have left them.
_PLACE = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def run(cfg: config.TrainConfig) -> TrainResult:
    """Train in processes of their own; finds a finished model without starting any."""
    plan = planning.make(cfg)
    found = saves.finished(plan)
    if found is not None:
        registration.complete(plan, found.run_id)
        return found
    path = plan.folder / "train.json"
    config.save(cfg, path)
    code, is_stopped = _wait(command(plan.nproc, path), plan)
    trained = find(plan.folder, plan.train_id, "trained")
    if trained is not None:
        return trained
    stopped = _stopped(plan) if is_stopped or code == 0 else None
    if stopped is None:
        raise Incomplete(
            f"{plan.name}: training ended with exit code {code}; try: {shlex.join(command(plan.nproc, path))}"
        )
    return stopped


def command(nproc: int, path: Path) -> list[str]:
    """The command line that trains, or goes on training, by a JSON configuration."""
    module = ["-m", "lakeloom.train", str(path)]
    if nproc == 1:
        return [sys.executable, *module]
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={nproc}", *module]


def environment(threads: int) -> dict[str, str]:
    """This process's environment for a training process: its threads, and no trace of a place among other processes."""
    kept = {name: value for name, value in os.environ.items() if name not in _PLACE}
    patient = {"OMP_WAIT_POLICY": "PASSIVE", "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(_SAVING_S)}
    return {**patient, **kept, "OMP_NUM_THREADS": str(threads)}


def _wait(line: list[str], plan: Plan) -> tuple[int, bool]:
    """Run to the end, passing a SIGTERM on; (exit code, whether there was one)."""
    seen: list[int] = []
    threads = plan.cfg.threads or max(1, (os.cpu_count() or 1) // plan.nproc)
    # Threads that sleep while they wait keep 2.7 times the pace of spinning ones where others want the cores.
    process = subprocess.Popen(line, env=environment(threads))  # noqa: S603

    def forward(number: int, _: FrameType | None) -> None:
        seen.append(number)
        process.send_signal(number)

    before = signal.signal(signal.SIGTERM, forward)
    try:
        return process.wait(), bool(seen)
    finally:
        signal.signal(signal.SIGTERM, before)
        if process.poll() is None:
            process.terminate()
            process.wait()


def _stopped(plan: Plan) -> TrainResult | None:
    newest = saves.newest(plan)
    facts = checkpoint.manifest(newest) if newest else None
    if newest is None or facts is None:
        return None
    step, tokens, loss = int(str(facts["step"])), int(str(facts["tokens"])), float(str(facts["loss"] or "nan"))
    run_id = str(facts["run_id"])
    return TrainResult("stopped", plan.folder, plan.name, plan.train_id, step, tokens, loss, "", run_id)
