import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lm_eval.api.instance import Instance

from lakeloom.evaluate.harness import Likelihood, Model, Span
from lakeloom.lakehouse.tokens import Tokenizer

PROMPTS = [
    ("", "the river", " of data"),
    ("", "the river", " of pages and a mill"),
    ("a quiet mill\n", "every page", " is read"),
    ("every page is read, " * 12, "\nthe river", " runs past"),
    ("", "x", " y"),
]


def requests(*parts: tuple[str, ...]) -> list[Instance]:
    return [Instance("parts", {}, one, 0) for one in parts]


def one_at_a_time(model: Model, tokenizer: Tokenizer, parts: tuple[str, ...]) -> Likelihood:
    """The rule without batches, padding or shortcuts: all logits of one sequence."""
    *context, end = [tokenizer.encode(part) for part in parts]
    before = [id_ for part in context for id_ in part]
    ids = (before + end)[-model.seq_len :]
    logits = model.decoder(torch.tensor([ids[:-1]]))[0, len(ids) - len(end) - 1 :].double()
    chosen = torch.log_softmax(logits, -1)[torch.arange(len(end)), torch.tensor(end)]
    is_exact = logits.argmax(-1).tolist() == end
    return Likelihood(float(chosen.sum()), is_exact, len(end), len(before) + len(end) - len(ids))


@pytest.mark.parametrize("batch_tokens", [0, 64, 4096])
def test_scores_are_those_of_one_at_a_time(
    make_model: Callable[..., Model], tokenizer: Tokenizer, batch_tokens: int
) -> None:
    model = make_model(batch_tokens=batch_tokens)
    for found, parts in zip(model.parts(requests(*PROMPTS)), PROMPTS, strict=True):
        expected = one_at_a_time(model, tokenizer, parts)
        assert found.loglikelihood == pytest.approx(expected.loglikelihood, abs=1e-4)
        assert found[1:] == expected[1:]


def test_a_long_context_is_cut_on_the_left(make_model: Callable[..., Model], tokenizer: Tokenizer) -> None:
    long, short = PROMPTS[3], PROMPTS[0]
    num_tokens = sum(len(tokenizer.encode(part)) for part in long)
    assert [one.num_cut for one in make_model().parts(requests(long, short))] == [num_tokens - 64, 0]


def test_a_continuation_longer_than_the_model_keeps_its_end(make_model: Callable[..., Model]) -> None:
    [found] = make_model(seq_len=8).parts(requests(("", "a", " the river of data runs past a quiet mill")))
    assert found.num_tokens == 7


def test_what_the_model_would_say_is_exact(make_model: Callable[..., Model], tokenizer: Tokenizer) -> None:
    model, ids = make_model(), tuple(tokenizer.encode("the river"))
    for _ in range(5):
        ids += (int(model.decoder(torch.tensor([ids]))[0, -1].argmax()),)
    wrong = (*ids[:-1], (ids[-1] + 1) % tokenizer.vocab_size)
    found = model.measure([Span(ids, 5), Span(wrong, 5), Span(wrong[:-1], 4)])
    assert [one.is_exact for one in found] == [True, False, True]


SPANS = st.lists(st.tuples(st.lists(st.integers(0, 299), min_size=2, max_size=64), st.integers(1, 63)), min_size=1)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=SPANS)
def test_batches_change_nothing(make_model: Callable[..., Model], raw: list[tuple[list[int], int]]) -> None:
    spans = [Span(tuple(ids), min(count, len(ids) - 1)) for ids, count in raw]
    small, large = make_model(batch_tokens=64).measure(spans), make_model(batch_tokens=4096).measure(spans)
    for a, b, span in zip(small, large, spans, strict=True):
        assert len(a.losses) == span.num_scored
        np.testing.assert_allclose(a.losses, b.losses, atol=2e-4)


def test_equal_options_tie(make_model: Callable[..., Model]) -> None:
    found = make_model(batch_tokens=40).parts(requests(*PROMPTS, PROMPTS[0], *PROMPTS[3:]))
    assert found[0] == found[5]
    assert found[3:5] == found[6:]


def test_lm_evals_own_requests_are_answered(make_model: Callable[..., Model], tokenizer: Tokenizer) -> None:
    model = make_model()
    pair = ("the river", " of data")
    expected = one_at_a_time(model, tokenizer, pair)
    [(loglikelihood, is_greedy)] = model.loglikelihood(requests(pair))
    assert loglikelihood == pytest.approx(expected.loglikelihood, abs=1e-4)
    assert is_greedy == expected.is_exact
    assert model.loglikelihood(requests(("", " of data")))[0][0] < 0


def test_rolling_likelihood_predicts_each_token_once(
    make_model: Callable[..., Model], tokenizer: Tokenizer, texts: list[str]
) -> None:
    model, text = make_model(), "".join(texts)
    model.decoder.output.weight.zero_()
    expected = -len(tokenizer.encode(text)) * math.log(tokenizer.vocab_size)
    found = model.loglikelihood_rolling(requests((text,), ("",)))
    assert found == [pytest.approx(expected), 0]


def test_generation_is_refused(make_model: Callable[..., Model]) -> None:
    with pytest.raises(NotImplementedError, match="generation tasks are not supported yet"):
        make_model().generate_until(requests(("a", "b")))


def test_progress_ends_at_the_number_of_different_spans(make_model: Callable[..., Model]) -> None:
    model, seen = make_model(batch_tokens=16), list[tuple[int, int]]()
    model.watch = lambda done, total: seen.append((done, total))
    model.parts(requests(*PROMPTS, *PROMPTS))
    assert seen[-1] == (5, 5)
    assert len(seen) > 1
