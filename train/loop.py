"""Training from a dataset folder to a model folder: resumes what was stopped, doesn't repeat what is finished.

A step is a pure function of (state, step number), so a resumed run takes the steps an uninterrupted one would have.
"""

import logging
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import cast

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from lakeloom.lakehouse.errors import BadInput, Incomplete
from lakeloom.lakehouse.ids import Json, identity
from lakeloom.lakehouse.shards import ShardReader
from lakeloom.train import checkpoint, described, optim, registration, saves, tracking, validation
from lakeloom.train import plan as planning
from lakeloom.train.config import TrainConfig
from lakeloom.train.data import Batches
from lakeloom.train.engine import Engine, Step, World, join
from lakeloom.train.flops import flops_per_token, peak_flops
from lakeloom.train.journal import NAME as LOSSES
from lakeloom.train.journal import Journal
from lakeloom.train.loss import Objective
from lakeloom.train.model import Decoder
from lakeloom.train.plan import Plan
from lakeloom.train.result import TrainResult, find
from lakeloom.train.validation import Validation

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """A run under way in this process; only rank 0 writes."""

    plan: Plan
    world: World
    engine: Engine
    first_step: int
    first_loss: float  # of the step before; nan at the start
    tracker: tracking.Tracker
    journal: Journal
    validation: Validation | None

    @property
    def is_writer(self) -> bool:
        """Whether this process is the one that writes."""
        return self.world.rank == 0


def run(cfg: TrainConfig) -> TrainResult:
    """Train, or find, the model of a configuration; in each process that torchrun starts, or alone."""
    plan = planning.make(cfg)
    found = saves.finished(plan)
    if found is not None:
        log.info("%s is finished already: %s", plan.name, plan.folder)
        if os.environ.get("RANK", "0") == "0":
            registration.complete(plan, found.run_id)
        return found
    held = _validation(plan)
    started = _start(plan, join(plan), held)
    with started.tracker, _interruption() as is_interrupted:
        return _steps(started, is_interrupted)


def _start(plan: Plan, world: World, held: Validation | None) -> Run:
    decoder, newest = Decoder(plan.model), saves.newest(plan)
    state, facts = _saved(plan, newest)
    _check_nodes(plan, world, cast("int", facts.get("step", 0)))
    if state is None:
        decoder.initialize(plan.cfg.seed)
    else:
        decoder.load_state_dict(state.weights)
    engine = Engine(Objective(decoder.to(world.device), plan.cfg.scale.z_loss, plan.cfg.loss_chunk), plan, world)
    if state is not None:
        engine.restore(state)
    step, journal = cast("int", facts.get("step", 0)), Journal(plan.folder / LOSSES)
    saves.check_average(plan, step)
    tracker = tracking.Tracker(None, "")
    if world.rank == 0:
        journal.cut(step)
        uri = plan.cfg.tracking_uri
        tracker = tracking.start(uri, plan.cfg.experiment, described.run(plan, held), str(facts.get("run_id", "")))
    log.info("%s: %d parameters, step %d of %d", plan.name, plan.model.num_parameters, step, plan.num_steps)
    last_loss = cast("float", facts.get("loss") or math.nan)
    return Run(plan, world, engine, step, last_loss, tracker, journal, held)


def _saved(plan: Plan, newest: Path | None) -> tuple[checkpoint.State | None, dict[str, Json]]:
    """Where the run stands: its newest checkpoint, else the model that it begins with, else nothing."""
    if newest is None:
        return (checkpoint.load(plan.start.folder) if plan.start else None), {}
    try:
        return checkpoint.load(newest), checkpoint.manifest(newest) or {}
    except BadInput as error:
        raise BadInput(
            f"{error}; delete {newest}: the same command then goes on from the checkpoint before it, or from the start"
        ) from error


def _check_nodes(plan: Plan, world: World, step: int) -> None:
    """Every process must train the same model from the same step: a node with other folders would not be noticed."""
    for what, number in (("run", int(plan.train_id[:8], 16)), ("checkpoint", step)):
        if not world.agrees(number):
            raise Incomplete(
                f"{plan.name}: processes disagree on the {what} (process {world.rank}: {plan.train_id[:12]}, step "
                f"{step}); all nodes must see the same train.dataset and train.models={plan.cfg.models}"
            )


def _validation(plan: Plan) -> Validation | None:
    cfg, dataset = plan.cfg, plan.manifest.dataset
    if not cfg.validations:
        return None
    return validation.load(plan.manifest.folder, dataset.tokenizer_file, plan.model.seq_len, cfg.validation_bytes)


def _steps(run: Run, is_interrupted: Callable[[], bool]) -> TrainResult:
    plan, world, scale = run.plan, run.world, run.plan.cfg.scale
    batches = Batches(ShardReader(plan.manifest, plan.cfg.verify), plan.cfg.seed, scale.global_batch)
    step, loss, skipped = run.first_step, run.first_loss, 0
    bits: float | None = None
    validated = validation.steps(plan.num_steps, plan.cfg.validations) if run.validation else frozenset[int]()
    with _progress(run) as advance:
        while step < plan.num_steps:
            began = time.perf_counter()
            lr = _rate(plan, step)
            measured = run.engine.step(batches.batch(step, world.rank, world.size), lr)
            step, skipped = step + 1, skipped + 1 if measured.is_skipped else 0
            loss = loss if measured.is_skipped else measured.loss
            seconds = time.perf_counter() - began
            bits = _bits_per_byte(run) if step in validated else None
            _record(run, step, measured, seconds, bits)
            _check(run, step, measured, skipped)
            advance(step, loss)
            stop = world.any(is_interrupted())
            if step < plan.num_steps and (stop or (plan.cfg.save_every and step % plan.cfg.save_every == 0)):
                _save(run, step, loss)
            if stop and step < plan.num_steps:
                run.tracker.end("KILLED")
                return _result(run, step, loss)
    return _finish(run, loss, bits)


def _rate(plan: Plan, step: int) -> float:
    scale = plan.cfg.scale
    rates = {"peak": scale.lr, "final": scale.cooldown_lr}
    return optim.learning_rate(step, warmup=scale.warmup, num_steps=plan.num_steps, decay=plan.cfg.decay, **rates)


def _check(run: Run, step: int, measured: Step, skipped: int) -> None:
    if skipped > run.plan.cfg.max_skipped:
        raise Incomplete(
            f"{run.plan.name}: steps {step - skipped + 1} to {step} had gradients that are not finite and were "
            f"skipped (train.max_skipped={run.plan.cfg.max_skipped} in a row); "
            f"the loss of step {step} is {measured.objective}; try a lower scale.lr"
        )


def _bits_per_byte(run: Run) -> float:
    """Of the held-out documents; all processes take part."""
    held = run.validation
    assert held is not None  # noqa: S101 (the steps that ask are those of a validation)
    return held.bits_per_byte(run.engine.nats(held.windows, held.is_counted))


def _record(run: Run, step: int, measured: Step, seconds: float, bits: float | None) -> None:
    """Write what a step measured; what is not finite, as in a skipped step, is left out."""
    if not run.is_writer:
        return
    tokens_per_s = run.plan.tokens_per_step / seconds
    named = {"loss": measured.loss, "objective": measured.objective, "grad_norm": measured.grad_norm, "lr": measured.lr}
    measures = {name: value for name, value in named.items() if math.isfinite(value)}
    measures |= {"tokens": step * run.plan.tokens_per_step, "tokens_per_s": tokens_per_s}
    before = run.plan.start.num_updates if run.plan.start else 0
    measures["skipped_steps"] = step - (run.engine.num_updates - before)
    if bits is not None and math.isfinite(bits):
        measures["bits_per_byte"] = bits
    if run.plan.device == "cuda":
        peak = peak_flops(torch.cuda.get_device_name())
        if peak is not None:
            measures["mfu"] = tokens_per_s * flops_per_token(run.plan.model) / (peak * run.world.size)
    run.journal.add(step, measures)
    run.tracker.log(step, measures)


def _save(run: Run, step: int, loss: float) -> None:
    """Write a checkpoint; all processes take part. Older ones go when it is complete, but those to be kept."""
    plan, state = run.plan, run.engine.state()
    if run.is_writer:
        checkpoint.save(saves.place(plan, step), state, described.config(plan), _facts(run, step, loss))
        saves.tidy(plan)
    run.world.any(False)  # nobody goes on, or ends, before the files are there


def _finish(run: Run, loss: float, bits: float | None) -> TrainResult:
    plan, step = run.plan, run.plan.num_steps
    tokenizer = plan.manifest.folder / plan.manifest.dataset.tokenizer_file
    state = run.engine.state()
    if run.is_writer:
        if plan.cfg.average:
            _average(run, state, tokenizer)
        facts = {**_facts(run, step, loss), "bits_per_byte": bits}
        checkpoint.save(plan.folder, state, described.config(plan), facts, tokenizer)
        saves.clear(plan)
        if run.tracker.store is not None:
            registration.register(run.tracker.store, run.tracker.run_id, plan)
    run.world.any(False)  # nobody ends before the files are there
    result = find(plan.folder, plan.train_id, "trained")
    if result is None:
        raise Incomplete(f"{plan.folder}: written, but its manifest can't be read back")
    log.info("%s: %d steps, loss %.4f, %s", plan.name, result.steps, result.loss, plan.folder)
    return result


def _average(run: Run, state: checkpoint.State, tokenizer: Path) -> None:
    """The mean of the last checkpoints and the end, as a model of its own: without moments, loss or MLflow run."""
    plan, steps = run.plan, saves.averaged(run.plan)
    weights = checkpoint.mean(state.weights, [saves.place(plan, step) for step in steps])
    all_steps: list[Json] = [*steps, plan.num_steps]
    named: dict[str, Json] = {"name": f"{plan.name}-average{len(all_steps)}"}
    named["train_id"] = identity("average", plan.train_id, all_steps)
    config = described.config(plan) | named | {"average_of_steps": all_steps}
    facts = _facts(run, plan.num_steps, math.nan) | named | {"run_id": ""}
    checkpoint.save(saves.average(plan), checkpoint.State(weights, {}, 0), config, facts, tokenizer)


def _result(run: Run, step: int, loss: float) -> TrainResult:
    plan, tokens = run.plan, step * run.plan.tokens_per_step
    return TrainResult("stopped", plan.folder, plan.name, plan.train_id, step, tokens, loss, "", run.tracker.run_id)


def _facts(run: Run, step: int, loss: float) -> dict[str, Json]:
    plan = run.plan
    named: dict[str, Json] = {"name": plan.name, "train_id": plan.train_id, "run_id": run.tracker.run_id}
    return {**named, "step": step, "tokens": step * plan.tokens_per_step, "loss": loss if math.isfinite(loss) else None}


@contextmanager
def _interruption() -> Iterator[Callable[[], bool]]:
    """While open, SIGTERM only raises a flag, so that the step under way is finished and saved."""
    seen: list[int] = []

    def remember(number: int, _: FrameType | None) -> None:
        seen.append(number)

    before = signal.signal(signal.SIGTERM, remember)
    try:
        yield lambda: bool(seen)
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _progress(run: Run) -> Iterator[Callable[[int, float], None]]:
    """A bar of steps on the writer's terminal; nothing where there is no terminal."""
    if not (run.is_writer and sys.stderr.isatty()):
        yield lambda _step, _loss: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"train {run.plan.name}", total=run.plan.num_steps, completed=run.first_step)
        yield lambda step, loss: bar.update(task, completed=step, description=f"train {run.plan.name} loss {loss:.3f}")
