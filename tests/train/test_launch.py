"""Training in processes of its own: killed, stopped, resumed, and on several processes."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lakeloom.jobs import train as jobs_train
from lakeloom.lakehouse.errors import ConfigError, Incomplete
from lakeloom.train import config, journal, launch
from lakeloom.train.config import TrainConfig
from lakeloom.train.result import TrainResult

pytestmark = pytest.mark.slow
MakeConfig = Callable[..., TrainConfig]
LONG = {"tokens": 60 * 8 * 16, "micro_batch": 1, "allow_repeats": True}


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in journal.read(folder)]


def train(arguments: list[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "lakeloom.train", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=launch.environment(1),
    )


def wait_for(found: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not found():
        assert time.monotonic() < until, "training never came so far"
        time.sleep(0.005)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("uninterrupted")


def reference(make_config: MakeConfig, folder: Path) -> TrainResult:
    """The run without an interruption: made by the first test that asks, found by the others."""
    return launch.run(make_config(**LONG, models=str(folder)))


def test_a_killed_run_goes_on_as_if_nothing_had_been(
    make_config: MakeConfig, tmp_path: Path, uninterrupted: Path
) -> None:
    cfg = make_config(**LONG, save_every=5)
    path = tmp_path / "train.json"
    config.save(cfg, path)
    process = train([str(path)])
    wait_for(lambda: bool(list(Path(cfg.models).glob("*/checkpoints/step_*/manifest.json"))))
    process.kill()
    process.communicate()
    assert not list(Path(cfg.models).glob("*/manifest.json"))
    resumed, whole = launch.run(cfg), reference(make_config, uninterrupted)
    assert (resumed.status, whole.steps) == ("trained", 60)
    assert losses(resumed.folder) == losses(whole.folder)
    assert resumed.model_sha == whole.model_sha


def test_sigterm_saves_and_says_how_to_go_on(make_config: MakeConfig, tmp_path: Path, uninterrupted: Path) -> None:
    cfg = make_config(**LONG)
    path = tmp_path / "train.json"
    config.save(cfg, path)
    process = train([str(path)])
    wait_for(lambda: any(len(file.read_text().splitlines()) > 2 for file in Path(cfg.models).glob("*/losses.jsonl")))
    process.send_signal(signal.SIGTERM)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    assert "stopped after step" in out
    assert out.strip().endswith(f"-m lakeloom.train {path}")
    resumed, whole = launch.run(cfg), reference(make_config, uninterrupted)
    assert losses(resumed.folder) == losses(whole.folder)
    assert resumed.model_sha == whole.model_sha


def test_a_stopped_launch_goes_on_with_another_number_of_processes(
    make_config: MakeConfig, tmp_path: Path, uninterrupted: Path
) -> None:
    cfg = make_config(**LONG, nproc=2)
    path = tmp_path / "train.json"
    config.save(cfg, path)
    script = "import sys; from pathlib import Path; from lakeloom.train import config, launch; "
    script += "print(launch.run(config.load(Path(sys.argv[1]))).status)"
    process = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True)
    wait_for(lambda: any(len(file.read_text().splitlines()) > 2 for file in Path(cfg.models).glob("*/losses.jsonl")))
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out.strip().splitlines()[-1]) == (0, "stopped")
    resumed, whole = launch.run(make_config(**LONG, nproc=1)), reference(make_config, uninterrupted)
    assert resumed.status == "trained"
    assert losses(resumed.folder) == pytest.approx(losses(whole.folder), abs=1e-4)


def test_a_failing_run_is_one_line_and_exit_code_1(make_config: MakeConfig, tmp_path: Path) -> None:
    config.save(make_config(lr=1e30, weight_decay=1e30), tmp_path / "train.json")
    process = train([str(tmp_path / "train.json")])
    _, error = process.communicate(timeout=120)
    assert process.returncode == 1
    assert error.strip().splitlines()[-1].startswith("Incomplete: toy-tiny-s0: steps ")
    assert "Traceback" not in error


def test_a_failed_process_is_an_error_with_its_command(make_config: MakeConfig) -> None:
    with pytest.raises(Incomplete, match=r"exit code 1; try: .*-m lakeloom\.train"):
        launch.run(make_config(lr=1e30, weight_decay=1e30))


def test_replicas_tell_the_spread(make_config: MakeConfig) -> None:
    report = jobs_train.run(None, make_config(seed=4, seeds=2))
    [sheet] = report.sheets
    losses_found = [float(row[4] or 0) for row in sheet.rows]
    assert [(row[0], row[1], row[2]) for row in sheet.rows] == [(4, "trained", 10), (5, "trained", 10)]
    ends = [losses(Path(str(row[6])))[-1] for row in sheet.rows]
    assert losses_found == [pytest.approx(loss, abs=1e-4) for loss in ends]
    half = abs(losses_found[0] - losses_found[1]) / 2
    assert report.facts["loss"] == pytest.approx(sum(losses_found) / 2, abs=1e-4)
    assert report.facts["loss_sd"] == pytest.approx(half * 2**0.5, abs=1e-3)
    assert report.rows_out == 20
    assert "bits_per_byte" not in report.facts  # the toy holds nothing out
    one = jobs_train.run(None, make_config(seed=5))
    assert (one.facts["status"], one.facts["model"], one.sheets) == ("found", sheet.rows[1][6], ())
    with pytest.raises(ConfigError, match=r"train\.seeds=0: give 1 or more"):
        jobs_train.run(None, make_config(seeds=0))


def test_the_configuration_is_kept_beside_the_model(make_config: MakeConfig, uninterrupted: Path) -> None:
    whole = reference(make_config, uninterrupted)
    assert json.loads((whole.folder / "train.json").read_text("utf-8"))["scale"]["name"] == "tiny"
