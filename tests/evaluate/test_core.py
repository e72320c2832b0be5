import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lakeloom.evaluate import core, scores, tasks
from lakeloom.evaluate.compare import differences
from lakeloom.evaluate.config import EvaluateConfig
from lakeloom.evaluate.scores import Score
from lakeloom.jobs import cli
from lakeloom.lakehouse.errors import BadInput, ConfigError
from lakeloom.lakehouse.tokens import Tokenizer, train_sentencepiece
from lakeloom.train import checkpoint, openlm, tracking
from lakeloom.train.config import ImportModelConfig


@pytest.fixture
def config(
    make_model_folder: Callable[..., Path], make_dataset: Callable[[str, list[str]], Path], texts: list[str]
) -> Callable[..., EvaluateConfig]:
    """Makes a configuration of a tiny model and a tiny holdout; keywords replace."""
    holdout = make_dataset("rivers", texts[:3])

    def make(seed: int = 0, run_id: str = "", **other: object) -> EvaluateConfig:
        values: dict[str, object] = {
            "model": str(make_model_folder(seed, run_id)),
            "data": None,
            "tasks": ["copa", "squad"],
            "limit": 5,
            "holdouts": [str(holdout)],
            "holdout_limit": 0,
            "batch_tokens": 256,
            "device": "cpu",
            "tracking_uri": None,
        }
        return EvaluateConfig(**{**values, **other})  # type: ignore[arg-type]  # of mixed types

    return make


def test_what_is_absent_is_said_and_the_rest_is_scored(config: Callable[..., EvaluateConfig]) -> None:
    found = core.run(config())
    assert [(one.task, one.metric, one.num_items) for one in found.scores] == [
        ("bpb/rivers", "bits_per_byte", 3),
        ("loss/rivers", "nats_per_token", 3),
    ]
    reason = "no task data: evaluate.data is not set"
    assert [(one.task, one.reason) for one in found.absent] == [("copa", reason), ("squad", reason)]
    assert found.core is None
    assert found.core_reason.startswith("22 of the 22 CORE tasks were not run on all their items: ")


def test_real_tasks_are_scored_item_by_item(config: Callable[..., EvaluateConfig], shared: Path) -> None:
    cfg = config(data=str(shared / "data" / "eval"), tasks=["copa", "winograd", "gsm8k_cot"])
    found = core.run(cfg)
    by_task = {one.task: one for one in found.scores}
    assert [(one.num_items, one.num_rows) for one in (by_task["copa"], by_task["winograd"])] == [(5, 100), (5, 273)]
    assert [(one.task, one.reason) for one in found.absent] == [("gsm8k_cot", "not yet supported: generation")]
    rows = scores.load_items(scores.path(Path(cfg.model), found.evaluation_id))
    for task in ("copa", "winograd"):
        right = sum(item.value for item in rows[task])
        assert by_task[task].value == right / 5
        assert by_task[task].centred == pytest.approx(2 * right / 5 - 1)
    assert len(rows["bpb/rivers"]) == 3


def test_a_second_run_finds_the_first(config: Callable[..., EvaluateConfig]) -> None:
    cfg = config()
    first = core.run(cfg)
    file = scores.path(Path(cfg.model), first.evaluation_id)
    before = file.stat().st_mtime_ns
    assert core.run(cfg) == first
    assert file.stat().st_mtime_ns == before
    assert scores.load(file) == first
    assert scores.of_model(Path(cfg.model)) == [file]


def test_the_same_request_gives_the_same_bytes(config: Callable[..., EvaluateConfig]) -> None:
    cfg = config()
    file = scores.path(Path(cfg.model), core.run(cfg).evaluation_id)
    contents = [path.read_bytes() for path in (file, scores.items_path(file))]
    for path in (file, scores.items_path(file)):
        path.unlink()
    core.run(cfg)
    assert [path.read_bytes() for path in (file, scores.items_path(file))] == contents


def test_limits_and_models_have_evaluations_of_their_own(config: Callable[..., EvaluateConfig]) -> None:
    requests = [config(), config(seed=1), config(holdout_limit=2), config(tasks=["copa"])]
    assert len({core.run(cfg).evaluation_id for cfg in requests}) == 4


def test_two_models_are_compared_item_by_item(config: Callable[..., EvaluateConfig]) -> None:
    one, two = config(), config(seed=1)
    a, b = core.run(one), core.run(two)
    files = [scores.path(Path(cfg.model), found.evaluation_id) for cfg, found in ((one, a), (two, b))]
    [found] = differences(*(scores.load_items(file) for file in files))
    assert found.value == pytest.approx(b.scores[0].value - a.scores[0].value)
    assert (found.task, found.num_items) == ("bpb/rivers", 3)


# MLflow 3.17 on SQLAlchemy 2.1.
@pytest.mark.filterwarnings("ignore:The ..noload.. loader strategy:DeprecationWarning")
@pytest.mark.slow
def test_scores_go_to_the_models_mlflow_run(config: Callable[..., EvaluateConfig], tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = tracking.client(uri)
    run = client.create_run(tracking.experiment(client, uri, "train"))
    found = core.run(config(run_id=run.info.run_id, tracking_uri=uri))
    logged = client.get_run(run.info.run_id).data.metrics
    assert logged["eval/bpb/rivers"] == pytest.approx(found.scores[0].value)
    assert logged["eval/bpb/rivers_stderr"] == pytest.approx(found.scores[0].stderr)
    with pytest.raises(ConfigError, match=r"its MLflow run .* is not in this store"):
        core.run(config(run_id="0" * 32, tracking_uri=uri))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"device": "tpu"}, r"evaluate.device: no device 'tpu'"),
        ({"limit": -1}, r"evaluate.limit=-1"),
        ({"tasks": ["copaa"]}, r"no task or group of tasks 'copaa'; nearest: copa"),
        ({"holdouts": []}, r"nothing to evaluate: .*\(copa: no task data"),
        ({"model": "nowhere"}, r"evaluate.model: nowhere is no finished model"),
        ({"data": "nowhere"}, r"evaluate.data: nowhere is no folder"),
    ],
)
def test_a_wrong_request_is_refused_with_its_cure(
    config: Callable[..., EvaluateConfig], other: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        core.run(config(**other))


def test_one_dataset_twice_is_refused(config: Callable[..., EvaluateConfig]) -> None:
    holdout = config().holdouts[0]
    with pytest.raises(ConfigError, match="two datasets have one name: rivers, rivers"):
        core.run(config(holdouts=[holdout, holdout]))


def test_another_tokenizer_than_the_models_is_refused(config: Callable[..., EvaluateConfig]) -> None:
    cfg = config()
    path = Path(cfg.model) / str(checkpoint.config(Path(cfg.model))["tokenizer_file"])
    path.write_bytes(train_sentencepiece(["another river of data runs past the mill"] * 30, 280))
    with pytest.raises(BadInput, match="not the tokenizer that the model was trained with"):
        core.run(cfg)


def made(task: str, num_items: int, num_rows: int) -> Score:
    return Score(task, "", "accuracy", 0.625, 0.01, num_items, num_rows, 0, 0, None)


def test_core_needs_every_task_whole() -> None:
    whole = [made(task.name, task.num_rows, task.num_rows) for task in tasks.choose(["core"])]
    found, reason = core.core_score(whole)
    assert found is not None
    assert (reason, found.num_items) == ("", sum(one.num_rows for one in whole))
    baselines = [task.baseline_v2 / 100 for task in tasks.choose(["core"])]
    assert found.value == pytest.approx(sum((0.625 - b) / (1 - b) for b in baselines) / 22)
    cut = [made("squad", 100, 10570) if one.task == "squad" else one for one in whole]
    assert core.core_score(cut) == (None, "1 of the 22 CORE tasks were not run on all their items: squad")


def test_a_broken_file_of_scores_is_named(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text("{}")
    with pytest.raises(BadInput, match=r"x.json: no file of scores"):
        scores.load(file)
    with pytest.raises(ConfigError, match="no evaluations; run: lakeloom evaluate"):
        scores.of_model(tmp_path)


def test_a_model_of_dclms_trainer_is_scored_like_ours(
    config: Callable[..., EvaluateConfig], tokenizer: Tokenizer, tmp_path: Path
) -> None:
    """The same weights under open_lm's names, imported, get the scores that they get as ours."""
    ours = config()
    weights = checkpoint.load(Path(ours.model)).weights
    shape = json.loads((Path(ours.model) / "config.json").read_text("utf-8"))["model"]
    names = {"embedding": "tok_embeddings", "blocks": "layers", "qkv": "in_proj", "gate_up": "w12", "down": "w3"}
    names |= {"final_norm": "norm", "out": "out_proj"}
    state = {".".join(names.get(part, part) for part in name.split(".")): value for name, value in weights.items()}
    torch.save({"state_dict": state}, tmp_path / "epoch_5.pt")
    scale = replace(cli.load("train", "scale=test", "train.dataset=x").scale, **shape)
    models = str(tmp_path / "imported")
    theirs = ImportModelConfig(scale, str(tmp_path / "epoch_5.pt"), str(tokenizer.path), "theirs", "dclm", 1000, models)
    found = core.run(config(model=str(openlm.run(theirs))))
    expected = {one.task: one.value for one in core.run(ours).scores}
    assert {one.task: one.value for one in found.scores} == pytest.approx(expected, abs=1e-6)
