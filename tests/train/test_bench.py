import json
from pathlib import Path

import pytest

from lakeloom.train import bench

pytestmark = pytest.mark.slow


def test_settings_are_rows(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "speeds.jsonl"
    tried = [
        "--try",
        "device=cpu,micro_batch=4,loss_chunk=100",
        "--try",
        "device=cpu,precision=fp32,micro_batch=8",
        "--out",
        str(out),
    ]
    assert bench.main(["test", "--steps", "1", "--accumulation", "2", *tried]) == 0
    heading, *rows = capfd.readouterr().out.splitlines()
    assert "tokens/s" in heading
    speeds = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert [speed["setting"] for speed in speeds] == [
        "device=cpu,micro_batch=4,loss_chunk=100",
        "device=cpu,precision=fp32,micro_batch=8",
    ]
    for row, speed in zip(rows, speeds, strict=True):
        assert f"{speed['tokens_per_s']:,.0f}" in row
        assert 0 < speed["loader_share"] < 1
        # As good as evenly spread over 8,192 ids.
        assert 8.5 < speed["loss"] < 9.5
        assert speed["mfu"] is None


def test_the_profile_names_kernels(capfd: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["test", "--steps", "1", "--profile", "--try", "device=cpu"]) == 0
    assert "aten::mm" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tets"], "no scale 'tets'; nearest: test"),
        (["test", "--try", "micro=4"], "no setting 'micro=4'"),
        (["test", "--try", "zero_stage=0"], "use 1, 2 or 3"),
        (["test", "--accumulation", "2"], "say how large one is"),
    ],
)
def test_misuse_is_one_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(arguments) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
