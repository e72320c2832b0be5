from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lakeloom.evaluate import items, prompts, tasks
from lakeloom.evaluate.harness import Likelihood, Model
from lakeloom.evaluate.prompts import Prompt
from lakeloom.evaluate.tasks import Example, TaskData
from lakeloom.lakehouse.tokens import Tokenizer

ROWS = {
    "copa": [
        Example(("the river runs",), ("past a mill", "of every page counted"), 0, ""),
        Example(("a quiet page",), ("is read and kept", "runs"), 1, ""),
        Example(("data",), ("kept", "kept"), 0, ""),
    ],
    "lambada_openai": [
        Example(("every page is",), ("read",), 0, ""),
        Example(("the river of",), ("data",), 0, ""),
    ],
    "winograd": [
        Example(("the river", "the mill"), ("runs past",), 0, ""),
        Example(("data in order", "a page in order"), ("is kept and read",), 1, ""),
    ],
}


def mean_losses(model: Model, tokenizer: Tokenizer, prompt: Prompt) -> list[float]:
    """One sequence at a time, from all its logits."""
    found: list[float] = []
    for option in prompt.options:
        *before, end = [tokenizer.encode(part) for part in option]
        ids = [id_ for part in before for id_ in part] + end
        logits = model.decoder(torch.tensor([ids[:-1]]))[0, -len(end) :]
        found.append(float(torch.nn.functional.cross_entropy(logits, torch.tensor(end))))
    return found


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("num_fewshot", [0, 1])
def test_lm_eval_answers_as_the_rule_does_by_hand(
    make_model: Callable[..., Model], tokenizer: Tokenizer, name: str, num_fewshot: int
) -> None:
    model = make_model(seq_len=128)
    task = replace(tasks.load()[name], num_fewshot=num_fewshot)
    asked = prompts.build(TaskData(task, tuple(ROWS[name]), ""))
    outcomes = items.answer(model, task, asked)
    for prompt, outcome in zip(asked, outcomes, strict=True):
        expected = mean_losses(model, tokenizer, prompt)
        assert outcome.losses == pytest.approx(expected, abs=1e-4)
        assert (outcome.item_id, outcome.gold) == (prompt.item_id, prompt.gold)
        if name != "lambada_openai":
            assert outcome.choice == min(range(len(expected)), key=outcome.losses.__getitem__)
            assert expected[outcome.choice] == pytest.approx(min(expected), abs=1e-4)


def test_a_tie_goes_to_the_first_choice(make_model: Callable[..., Model]) -> None:
    copa = tasks.load()["copa"]
    [_, _, tie] = items.answer(make_model(), copa, prompts.build(TaskData(copa, tuple(ROWS["copa"]), "")))
    assert tie.losses[0] == tie.losses[1]
    assert tie.choice == 0


def likelihoods(*losses: float, is_exact: bool = False) -> list[Likelihood]:
    return [Likelihood(-loss * 3, is_exact, 3, 0) for loss in losses]


@pytest.mark.parametrize(
    ("kind", "scores", "choice"),
    [
        ("multiple_choice", likelihoods(2.0, 1.0, 3.0), 1),
        ("multiple_choice", likelihoods(1.0, 1.0), 0),
        ("schema", likelihoods(2.0, 1.5), 1),
        ("language_modeling", likelihoods(2.0), -1),
        ("language_modeling", likelihoods(2.0, is_exact=True), 0),
        # The mean of a token decides, not the sum.
        ("multiple_choice", [Likelihood(-4.0, False, 1, 0), Likelihood(-6.0, False, 3, 0)], 1),
    ],
)
def test_judging(kind: str, scores: list[Likelihood], choice: int) -> None:
    prompt = Prompt("0", "", (), "", ("c",), (" a", " b"), 0)
    assert items.judge(kind, prompt, scores).choice == choice


def test_a_task_split_by_category_scores_the_mean_of_its_categories(make_model: Callable[..., Model]) -> None:
    task = replace(tasks.load()["mmlu_zeroshot"], delimiter=" ")
    rows = [Example(("the river",), ("runs", "of"), i % 2, "ab"[i > 0]) for i in range(7)]
    outcomes = items.answer(make_model(), task, prompts.build(TaskData(task, tuple(rows), "")))
    shares = {name: [o.is_right for o in outcomes if o.category == name] for name in "ab"}
    assert [len(shares[name]) for name in "ab"] == [1, 6]
    expected = sum(sum(right) / len(right) for right in shares.values()) / 2
    assert items.accuracy(outcomes).value == pytest.approx(expected)


@pytest.mark.slow
def test_real_tasks_of_each_kind_run(shared: Path, make_model: Callable[..., Model]) -> None:
    for name in ("copa", "winograd", "jeopardy"):
        task = tasks.load()[name]
        data = tasks.read(task, shared / "data" / "eval")
        assert isinstance(data, TaskData)
        outcomes = items.answer(make_model(seq_len=512), task, prompts.build(data, 20))
        assert len(outcomes) == 20
        assert all(outcome.num_cut >= 0 and len(outcome.losses) >= 1 for outcome in outcomes)
