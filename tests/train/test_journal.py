from pathlib import Path

import pytest

from lakeloom.lakehouse.errors import Incomplete
from lakeloom.train.journal import NAME, Journal, read


@pytest.mark.parametrize("step", [0, 2, 3, 9])
def test_a_cut_journal_holds_the_steps_before(tmp_path: Path, step: int) -> None:
    journal = Journal(tmp_path / "deep" / NAME)
    journal.cut(0)
    for number in (1, 2, 3):
        journal.add(number, {"loss": number / 3})
    journal.cut(step)
    assert [line["step"] for line in read(tmp_path / "deep")] == [1, 2, 3][:step]


def test_a_torn_line_goes(tmp_path: Path) -> None:
    journal = Journal(tmp_path / NAME)
    journal.add(1, {"loss": 0.1})
    with journal.path.open("a", encoding="utf-8") as file:
        file.write('{"step": 2, "lo')
    journal.cut(1)
    journal.add(2, {"loss": 0.2})
    assert read(tmp_path) == [{"step": 1, "loss": 0.1}, {"step": 2, "loss": 0.2}]


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    (tmp_path / NAME).symlink_to("/dev/full")
    with pytest.raises(Incomplete, match=r"losses\.jsonl: could not be written \(.*No space left.*newest checkpoint"):
        Journal(tmp_path / NAME).add(1, {"loss": 0.1})


def test_a_cut_that_fails_forgets_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path / NAME)
    journal.add(1, {"loss": 0.1})
    journal.add(2, {"loss": 0.2})
    (tmp_path / f".{NAME}.partial").symlink_to("/dev/full")
    with pytest.raises(Incomplete, match="No space left"):
        journal.cut(1)
    assert [line["step"] for line in read(tmp_path)] == [1, 2]
