"""Prompts as a task of lm-eval, and what one item came to.

llm-foundry's rules: multiple choice and schema take the option of lowest mean token loss, the first on a tie;
language modelling is right when every token of the continuation is the likeliest.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import cast

from lm_eval.api import task as lm_eval_task
from lm_eval.api.instance import Instance
from lm_eval.evaluator import evaluate

from lakeloom.evaluate.estimates import Estimate, Item, ratio
from lakeloom.evaluate.harness import Likelihood, Model
from lakeloom.evaluate.prompts import Prompt
from lakeloom.evaluate.tasks import Task
from lakeloom.lakehouse.ids import identity

METRIC = "accuracy"

# It warns of every task that it has no settings for generation, which these tasks do not use.
logging.getLogger("lm_eval").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Outcome:
    """One item's answer: the option chosen (-1: not the exact text), and each option's mean token loss."""

    item_id: str
    category: str
    prompt_sha: str
    choice: int
    gold: int
    losses: tuple[float, ...]
    num_cut: int  # tokens of context that did not fit into the model, at most over the options

    @property
    def is_right(self) -> bool:
        return self.choice == self.gold

    @property
    def item(self) -> Item:
        """As an observation: 1 or 0, of weight 1."""
        return Item(self.item_id, float(self.is_right), 1.0, self.category)


class PromptTask(lm_eval_task.Task):  # type: ignore[misc]  # lm-eval is untyped
    """A task whose prompts are ready; nothing is downloaded, and no sampler of lm-eval's is used."""

    VERSION = 1
    OUTPUT_TYPE = "parts"

    def __init__(self, task: Task, prompts: Sequence[Prompt]) -> None:
        super().__init__()
        self.task, self.prompts = task, prompts
        self.set_config("task", task.name)
        self.set_config("num_fewshot", task.num_fewshot)

    def download(self, *_: object, **__: object) -> None:
        """The prompts are here."""

    def build_all_requests(self, **_: object) -> None:
        """One request an option, of the type that harness.Model.parts answers."""
        self._instances = [
            Instance("parts", asdict(prompt), option, idx=number, metadata=(self.task.name, place, 1))
            for place, prompt in enumerate(self.prompts)
            for number, option in enumerate(prompt.options)
        ]

    def process_results(self, doc: Mapping[str, object], results: Sequence[Likelihood]) -> dict[str, Outcome]:
        return {METRIC: judge(self.task.kind, Prompt(**doc), results)}  # type: ignore[arg-type]  # asdict of a Prompt

    def aggregation(self) -> dict[str, Callable[[Sequence[Outcome]], float]]:
        return {METRIC: lambda outcomes: accuracy(outcomes).value}

    def higher_is_better(self) -> dict[str, bool]:
        return {METRIC: True}

    def has_test_docs(self) -> bool:
        return True

    def test_docs(self) -> list[dict[str, object]]:
        return [asdict(prompt) for prompt in self.prompts]

    def doc_to_text(self, doc: Mapping[str, object]) -> str:
        return f"{doc['fewshot']}{doc['contexts']}"

    def doc_to_target(self, doc: Mapping[str, object]) -> object:
        return doc["gold"]

    def has_training_docs(self) -> bool:
        return False

    def has_validation_docs(self) -> bool:
        return False

    def construct_requests(self, doc: object, ctx: str, **_: object) -> list[Instance]:
        raise NotImplementedError("build_all_requests makes them")


def answer(model: Model, task: Task, prompts: Sequence[Prompt]) -> list[Outcome]:
    """Let lm-eval put the prompts to the model; outcomes in their order."""
    results = evaluate(model, {task.name: PromptTask(task, prompts)}, bootstrap_iters=0)
    return [cast("Outcome", sample[METRIC]) for sample in results["samples"][task.name]]


def judge(kind: str, prompt: Prompt, scores: Sequence[Likelihood]) -> Outcome:
    """What the scores of an item's options come to."""
    losses = tuple(score.loss for score in scores)
    exact = 0 if scores[0].is_exact else -1
    choice = exact if kind == "language_modeling" else losses.index(min(losses))
    prompt_sha = identity(prompt.fewshot, prompt.contexts, prompt.continuations)
    num_cut = max(score.num_cut for score in scores)
    return Outcome(prompt.item_id, prompt.category, prompt_sha, choice, prompt.gold, losses, num_cut)


def accuracy(outcomes: Sequence[Outcome]) -> Estimate:
    """Share of right answers; of a task split by category, the unweighted mean of the categories' shares."""
    return ratio([outcome.item for outcome in outcomes])
