"""Scores of one model: tasks through lm-eval, bits per byte of held-out documents, CORE from whole tasks.

A second run finds the first one's numbers.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from lakeloom.evaluate import bits, items, prompts, scores
from lakeloom.evaluate import plan as planning
from lakeloom.evaluate.config import EvaluateConfig
from lakeloom.evaluate.estimates import Estimate, centred, composite, composite_error, ratio
from lakeloom.evaluate.harness import Model
from lakeloom.evaluate.plan import Plan
from lakeloom.evaluate.scores import ItemRow, Score, Scores
from lakeloom.evaluate.tasks import TaskData, choose
from lakeloom.lakehouse.holdout import Holdout
from lakeloom.train import checkpoint, tracking

log = logging.getLogger(__name__)

Found = tuple[list[Score], list[ItemRow]]


def run(cfg: EvaluateConfig) -> Scores:
    """Score a model, or find its scores; they are in the model's folder and in its MLflow run."""
    plan = planning.make(cfg)
    target = scores.path(plan.folder, plan.evaluation_id)
    for one in plan.absent:
        log.warning("task %s is absent: %s", one.task, one.reason)
    if target.is_file():
        log.info("%s is evaluated already: %s", plan.model.name, target)
        return scores.load(target)
    found, rows = _score(plan)
    core, reason = core_score(found)
    value, stderr = (core.value, core.stderr) if core else (None, None)
    result = Scores(plan.evaluation_id, plan.model, cfg.limit, tuple(found), plan.absent, value, stderr, reason)
    _track(plan, result)
    scores.save(result, plan.folder, rows)
    log.info("%s: %d scores in %s", plan.model.name, len(result.scores), target)
    return result


def _score(plan: Plan) -> Found:
    decoder = checkpoint.load_model(plan.folder, plan.device)
    model = Model(decoder, plan.tokenizer, batch_tokens=plan.cfg.batch_tokens, device=plan.device)
    found: list[Score] = []
    rows: list[ItemRow] = []
    with _progress() as watch:
        wanted: tuple[TaskData | Holdout, ...] = (*plan.tasks, *plan.holdouts)
        for data in wanted:
            model.watch = watch(data.name)
            new, new_rows = _task(plan, model, data) if isinstance(data, TaskData) else _holdout(model, data)
            found += new
            rows += new_rows
            log.info("%s", ", ".join(f"{one.task} {one.metric} {one.value:.4f}" for one in new))
    return found, rows


def _task(plan: Plan, model: Model, data: TaskData) -> Found:
    task = data.task
    outcomes = items.answer(model, task, prompts.build(data, plan.cfg.limit))
    found = items.accuracy(outcomes)
    score = Score(
        task=task.name,
        task_version=planning.task_version(data, plan.cfg.limit),
        metric=items.METRIC,
        value=found.value,
        stderr=found.stderr,
        num_items=found.num_items,
        num_rows=len(data.examples),
        num_fewshot=task.num_fewshot,
        num_cut=sum(outcome.num_cut > 0 for outcome in outcomes),
        centred=centred(found.value, task.baseline_v2),
    )
    return [score], [ItemRow(task.name, one.item, asdict(one)) for one in outcomes]


def _holdout(model: Model, holdout: Holdout) -> Found:
    measured = bits.measure(model, holdout.documents)
    version = planning.holdout_version(holdout)

    def score(task: str, metric: str, found: Estimate) -> Score:
        number = found.num_items
        return Score(task, version, metric, found.value, found.stderr, number, number, 0, 0, None)

    both = [
        score(f"bpb/{holdout.name}", "bits_per_byte", ratio([one.bits_per_byte for one in measured])),
        score(f"loss/{holdout.name}", "nats_per_token", ratio([one.loss for one in measured])),
    ]
    return both, [ItemRow(both[0].task, one.bits_per_byte, asdict(one)) for one in measured]


def core_score(found: Sequence[Score]) -> tuple[Estimate | None, str]:
    """DCLM's CORE of scores (baselines v2), or None and the reason: each of its tasks must be there and whole."""
    whole = {one.task: one for one in found if one.metric == items.METRIC and one.num_items == one.num_rows}
    core = [task.name for task in choose(["core"])]
    missing = [name for name in core if name not in whole]
    value = composite({name: one.value for name, one in whole.items()})
    if value is None:
        reason = f"{len(missing)} of the {len(core)} CORE tasks were not run on all their items: "
        return None, reason + ", ".join(missing)
    stderr = composite_error({name: whole[name].stderr or 0.0 for name in core})
    return Estimate(value, stderr, sum(whole[name].num_items for name in core)), ""


def _track(plan: Plan, result: Scores) -> None:
    if plan.cfg.tracking_uri is None or not plan.model.run_id:
        return
    from mlflow.entities import Metric

    named = [(f"eval/{one.task}", one.value, one.stderr) for one in result.scores]
    if result.core is not None:
        named.append(("eval/core", result.core, result.core_stderr))
    now = int(time.time() * 1000)
    metrics = [Metric(name, value, now, 0) for name, value, _ in named]
    metrics += [Metric(f"{name}_stderr", error, now, 0) for name, _, error in named if error is not None]
    tracking.client(plan.cfg.tracking_uri).log_batch(plan.model.run_id, metrics=metrics)


@contextmanager
def _progress() -> Iterator[Callable[[str], Callable[[int, int], None]]]:
    """A bar a task on a terminal; nothing where there is no terminal."""
    if not sys.stderr.isatty():
        yield lambda _name: lambda _done, _total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:

        def watch(name: str) -> Callable[[int, int], None]:
            task = bar.add_task(f"evaluate {name}", total=None)
            return lambda done, total: bar.update(task, completed=done, total=total)

        yield watch
