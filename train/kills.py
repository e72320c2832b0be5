"""A training run that is killed (SIGKILL) at random moments, each time taken up again: does it end as if never killed?

A run of made-up tokens at a tiny scale, saved every third step, in a process of its own. A reference runs undisturbed;
then runs are killed at moments drawn from a seed, all over its length (its start, its steps, its saves), and started
again until they end. Their losses, step by step, and their weights must be the reference's to the last bit.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lakeloom.lakehouse.errors import Incomplete, LakeloomError
from lakeloom.train import checkpoint, config, journal, launch, scales, scratch
from lakeloom.train import plan as planning
from lakeloom.train.config import TrainConfig

_STEPS, _SAVE_EVERY, _BATCH, _VOCABULARY = 200, 3, 8, 512
_LINE = "{:>4} {:>4} {:>9} {:>13} {:>12}  {}"


@dataclass(frozen=True)
class Kill:
    """What one kill met: seconds after the start, steps and checkpoint that were on disk, files half written."""

    run: int
    seconds: float
    steps: int
    saved: int
    partial: str

    def line(self, number: int) -> str:
        """A row of the table."""
        return _LINE.format(number, self.run, f"{self.seconds:.2f} s", self.steps, self.saved, self.partial)


def main(arguments: Sequence[str]) -> int:
    """Print a row a kill and the verdict of each run; exit code 1 where one ends otherwise than the reference."""
    parser = argparse.ArgumentParser(prog="python -m lakeloom.train.kills", description=__doc__)
    parser.add_argument("kills", nargs="?", type=int, default=20, help="how many (20)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (0)")
    asked = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as folder:
            return _kills(Path(folder), asked.kills, random.Random(asked.seed))  # noqa: S311  # no secret
    except LakeloomError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return error.exit_code


def _kills(top: Path, number: int, moments: random.Random) -> int:
    write_dataset(top / "data")
    first, whole = _undisturbed(top)
    expected = _end(_folder(top, "reference"))
    sys.stdout.write(f"undisturbed: first step after {first:.1f} s, all {_STEPS} after {whole:.1f} s\n")
    sys.stdout.write(_LINE.format("kill", "run", "after", "steps on disk", "last saved", "half written") + "\n")
    done, run, is_equal = 0, 0, True
    while done < number:
        run += 1
        while True:
            # Half of a start, then all of the steps and the end; the last run is left to end.
            seconds = moments.uniform(first / 2, whole) if done < number else None
            kill = _killed(top, run, seconds)
            if kill is None:
                break
            done += 1
            sys.stdout.write(kill.line(done) + "\n")
            sys.stdout.flush()
        is_same = _end(_folder(top, f"run-{run}")) == expected
        is_equal &= is_same
        sys.stdout.write(f"run {run} ended: losses and weights {'equal to the bit' if is_same else 'DIFFERENT'}\n")
    return int(not is_equal)


def _undisturbed(top: Path) -> tuple[float, float]:
    """Seconds to the first step and to the end of the reference."""
    began, first = time.perf_counter(), 0.0
    process, losses = _started(top, "reference"), _folder(top, "reference") / journal.NAME
    while process.poll() is None:
        if not first and losses.is_file() and losses.stat().st_size:
            first = time.perf_counter() - began
        time.sleep(0.01)
    return first, time.perf_counter() - began


def write_dataset(folder: Path) -> None:
    """More sequences than the run takes, so that none comes twice."""
    shape = (_STEPS * _BATCH, _fields()["seq_len"] + 1)
    scratch.write_dataset(folder, np.random.default_rng(0).integers(0, _VOCABULARY, shape, np.uint32), _VOCABULARY)


def _fields() -> dict[str, int]:
    return {"dim": 64, "num_layers": 2, "num_heads": 2, "ffn_hidden": 128, "seq_len": 64}


def configuration(top: Path, name: str) -> TrainConfig:
    """The run, in a folder of this name."""
    scale = scales.fields("test", "kills") | _fields()
    scale |= {"vocab_size": _VOCABULARY, "global_batch": _BATCH, "accumulation": 1, "warmup": 10}
    scale |= {"tokens": _STEPS * _BATCH * _fields()["seq_len"]}
    run: dict[str, object] = {"device": "cpu", "threads": 1, "save_every": _SAVE_EVERY}
    return replace(scratch.configuration(scale, top / "data", run, "kills"), models=str(top / name))


def _folder(top: Path, name: str) -> Path:
    return planning.make(configuration(top, name)).folder


def _started(top: Path, name: str) -> "subprocess.Popen[bytes]":
    path = top / f"{name}.json"
    config.save(configuration(top, name), path)
    environment = launch.environment(1)
    return subprocess.Popen(  # noqa: S603  # ourselves
        launch.command(1, path), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _killed(top: Path, run: int, seconds: float | None) -> Kill | None:
    """Start a run, kill it after so many seconds, if any; None where it ended by itself."""
    process = _started(top, f"run-{run}")
    try:
        code = process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return _met(_folder(top, f"run-{run}"), run, seconds or 0.0)
    if code:
        raise Incomplete(f"run {run}: ended with exit code {code}")
    return None


def _met(folder: Path, run: int, seconds: float) -> Kill:
    steps = (folder / journal.NAME).read_bytes().count(b"\n") if (folder / journal.NAME).is_file() else 0
    saved = [path.parent.name for path in (folder / "checkpoints").glob(f"step_*/{checkpoint.MANIFEST}")]
    saved += [f"step_{_STEPS}"] if checkpoint.manifest(folder) else []  # the model itself
    newest = max((int(name.removeprefix("step_")) for name in saved), default=0)
    partial = sorted(path.name for path in folder.rglob(".*.partial")) if folder.is_dir() else []
    return Kill(run, seconds, steps, newest, ", ".join(partial))


def _end(folder: Path) -> tuple[list[float], str]:
    """Losses of all steps, and the weights' SHA-256."""
    manifest = checkpoint.manifest(folder)
    if manifest is None:
        raise Incomplete(f"{folder}: the run has not ended")
    return [line["loss"] for line in journal.read(folder)], str(manifest["model_sha"])


if __name__ == "__main__":
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    sys.exit(main(sys.argv[1:]))
