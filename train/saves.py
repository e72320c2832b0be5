"""The checkpoints of a run on disk: which there are, which of them stay, and which make up its mean."""

import re
import shutil
from contextlib import suppress
from pathlib import Path

from lakeloom.lakehouse.errors import ConfigError, Incomplete
from lakeloom.train import checkpoint
from lakeloom.train.plan import Plan
from lakeloom.train.result import TrainResult, find

_STEP = re.compile(r"step_(\d{8})")


def finished(plan: Plan) -> TrainResult | None:
    """The model of the run, if it is there. ConfigError where its mean is wanted and was not made with it."""
    found = find(plan.folder, plan.train_id)
    if found is not None and plan.cfg.average and checkpoint.manifest(average(plan)) is None:
        raise ConfigError(
            f"{plan.folder} was trained without train.average, and its checkpoints are gone; "
            "say train.average=0, or train under other train.models"
        )
    return found


def average(plan: Plan) -> Path:
    """The folder of the mean, within the model's."""
    return plan.folder / "average"


def place(plan: Plan, step: int) -> Path:
    """The folder of a checkpoint."""
    return plan.folder / "checkpoints" / f"step_{step:08d}"


def newest(plan: Plan) -> Path | None:
    """The newest complete checkpoint of this run, if it was stopped."""
    folders = (place(plan, step) for step in reversed(_steps(plan)))
    return next((one for one in folders if (checkpoint.manifest(one) or {}).get("train_id") == plan.train_id), None)


def tidy(plan: Plan) -> None:
    """Remove checkpoints but the newest, those that the mean will be of, and those that stay for good."""
    steps, every = _steps(plan), plan.cfg.save_every
    regular = [step for step in steps if every and step % every == 0]
    meant = regular[-(plan.cfg.average - 1) :] if plan.cfg.average else []
    _keep(plan, {*steps[-plan.cfg.keep :], *meant})


def clear(plan: Plan) -> None:
    """Remove all checkpoints but those that stay for good: the model is there."""
    _keep(plan, set())
    with suppress(OSError):  # some stay, or none was made
        (plan.folder / "checkpoints").rmdir()


def averaged(plan: Plan) -> list[int]:
    """Steps of the checkpoints that the mean is of, beside the end: the last that are saved in every such run.

    What was saved because the run was stopped is not among them.
    """
    if not plan.cfg.average:
        return []
    every = plan.cfg.save_every
    last = (plan.num_steps - 1) // every * every
    return list(range(last - every * (plan.cfg.average - 2), last + 1, every))


def check_average(plan: Plan, step: int) -> None:
    """Incomplete unless the checkpoints that the mean is of are there, as far as a run at this step has saved them."""
    past = [one for one in averaged(plan) if one <= step]
    absent = [one for one in past if checkpoint.manifest(place(plan, one)) is None]
    if absent:
        raise Incomplete(
            f"{plan.name}: train.average={plan.cfg.average}, but steps {absent} are not saved; "
            "was the run begun without it? Say train.average=0, or train under other train.models"
        )


def _steps(plan: Plan) -> list[int]:
    named = (_STEP.fullmatch(one.name) for one in (plan.folder / "checkpoints").glob("step_*"))
    return sorted(int(one[1]) for one in named if one)


def _keep(plan: Plan, kept: set[int]) -> None:
    for step in _steps(plan):
        stays = plan.cfg.keep_every and step % plan.cfg.keep_every == 0
        if step not in kept and not stays:
            shutil.rmtree(place(plan, step))
