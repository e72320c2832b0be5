"""Training in processes of its own: killed, stopped, resumed, and on several processes."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lakeloom.jobs import train as jobs_train
from lakeloom.lakehouse.errors import ConfigError, Incomplete
from lakeloom.lakehouse.shards import Manifest, ShardReader
from lakeloom.train import config, journal, launch, loop
from lakeloom.train.config import TrainConfig
from lakeloom.train.data import Batches
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


def test_shared_weights_train_what_whole_ones_do(make_config: MakeConfig, uninterrupted: Path) -> None:
    shared = launch.run(make_config(**LONG, nproc=2, zero_stage=3, save_every=25))
    assert losses(shared.folder) == pytest.approx(losses(reference(make_config, uninterrupted).folder), abs=1e-4)


def nodes(paths: list[Path]) -> list[tuple[int, str]]:
    """One torchrun a configuration, as on so many machines: exit codes and what was said on stderr."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    started = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "torch.distributed.run", f"--nnodes={len(paths)}", f"--node-rank={rank}"),
                *("--nproc-per-node=1", "--master-addr=127.0.0.1", f"--master-port={port}"),
                *("-m", "lakeloom.train", str(path)),
            ],
            env=launch.environment(1),
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, path in enumerate(paths)
    ]
    return [(process.returncode, error) for process in started for _, error in [process.communicate(timeout=200)]]


def test_two_nodes_train_what_two_processes_train(make_config: MakeConfig, tmp_path: Path) -> None:
    cfg = make_config(nproc=2, micro_batch=2, models=str(tmp_path / "nodes"))
    config.save(cfg, tmp_path / "train.json")
    assert [code for code, _ in nodes([tmp_path / "train.json"] * 2)] == [0, 0]
    one_machine = launch.run(make_config(nproc=2, micro_batch=2))
    [folder] = Path(cfg.models).iterdir()
    assert losses(folder) == losses(one_machine.folder)


def test_deepspeeds_own_launcher_trains_the_same(make_config: MakeConfig, tmp_path: Path) -> None:
    cfg = make_config(nproc=2, micro_batch=2, models=str(tmp_path / "deepspeed"))
    config.save(cfg, tmp_path / "train.json")
    launcher = [sys.executable, "-m", "deepspeed.launcher.runner", "--num_gpus=2", "--module", "lakeloom.train"]
    # The launcher starts `python`, and takes no processes of a CPU for granted.
    env = {**launch.environment(1), "DS_ACCELERATOR": "cpu", "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    done = subprocess.run(
        [*launcher, str(tmp_path / "train.json")], env=env, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    theirs = loop.run(cfg)
    assert theirs.status == "found"
    ours = launch.run(make_config(nproc=2, micro_batch=2))
    assert losses(theirs.folder) == losses(ours.folder)


def test_nodes_that_see_other_folders_are_stopped(make_config: MakeConfig, tmp_path: Path) -> None:
    """The first has a checkpoint, the second has none: it would go on from start weights, unnoticed."""
    here = make_config(nproc=2, micro_batch=2, save_every=4, models=str(tmp_path / "here"))
    config.save(here, tmp_path / "here.json")
    config.save(replace(here, models=str(tmp_path / "there")), tmp_path / "there.json")
    stopped = replace(here, nproc=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "_finish", lambda *_: pytest.fail("a machine that dies at the end"))
        with pytest.raises(pytest.fail.Exception):
            loop.run(stopped)
    found = nodes([tmp_path / "here.json", tmp_path / "there.json"])
    assert all(code for code, _ in found)
    assert "processes disagree on the checkpoint" in found[0][1]
    assert not list((tmp_path / "there").glob("*/manifest.json"))


def test_a_process_that_is_alone_with_a_broken_sequence_says_so(
    make_config: MakeConfig, make_dataset: Callable[..., Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A token outside of the vocabulary is in the second half of the first batch: it is the second process's."""
    sequences = np.arange(17)[None] % 8 + np.zeros((80, 1), np.int64)
    folder = make_dataset(tmp_path / "sound", sequences, 8)
    cfg = make_config(dataset=str(folder), nproc=2, micro_batch=1)
    batch = Batches(ShardReader(Manifest.load(folder)), cfg.seed, 8).indices(0)
    sequences[batch[4]] = 9
    broken = replace(cfg, dataset=str(make_dataset(tmp_path / "broken", sequences, 8)))
    with pytest.raises(Incomplete, match="training ended with exit code 1"):
        launch.run(broken)
    assert "process 1: BadInput: " in capfd.readouterr().err


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
