"""The programs that measure training say what they measured, and their exit code says whether it is enough."""

import pytest

from lakeloom.train import bench_cpu, kills

pytestmark = pytest.mark.slow


def test_a_killed_run_ends_as_the_undisturbed_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(kills, "_STEPS", 40)
    assert kills.main(["1", "--seed", "1"]) == 0
    first, head, kill, end = capsys.readouterr().out.splitlines()
    assert first.startswith("undisturbed: first step after")
    assert head.split()[:2] == ["kill", "run"]
    assert kill.split()[:2] == ["1", "1"]
    assert end == "run 1 ended: losses and weights equal to the bit"


def test_a_run_that_ends_otherwise_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    ends = iter([([1.0], "sha"), ([1.0], "other")])
    monkeypatch.setattr(kills, "_undisturbed", lambda _: (1.0, 2.0))
    monkeypatch.setattr(kills, "_killed", lambda *_: None)
    monkeypatch.setattr(kills, "_end", lambda _: next(ends))
    with pytest.raises(StopIteration):  # no kill ever comes, so runs go on
        kills.main(["1"])
    assert "run 1 ended: losses and weights DIFFERENT" in capsys.readouterr().out


def test_a_step_is_measured_beside_pytorch(capsys: pytest.CaptureFixture[str]) -> None:
    code = bench_cpu.main(["test", "--steps", "2"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == ["start", "step", "reading"]
    assert code == int(any(line.startswith("FAIL") for line in lines))
    assert bench_cpu.main(["tset"]) == 2
    assert "no scale 'tset'" in capsys.readouterr().err
