import re

import pytest

from lakeloom.train import scales


def test_every_scale_is_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert scales.main([]) == 0
    heading, *rows = capsys.readouterr().out.splitlines()
    found = {row.split()[0]: re.split(r"\s{2,}", row) for row in rows}
    assert sorted(found) == scales.names()
    assert heading.split()[:2] == ["scale", "parameters"]
    # Parameters and tokens of DCLM's training/configs; the gains are 2 x 24 x 1,024.
    assert found["400m_1x"][1:5] == ["411,616,256", "49,152", "8,232,325,120", "7,850"]
    assert found["7b_2x"][1] == "6,889,410,560"
    assert found["7b_2x"][5] == f"{6 * 6_889_410_560 * 275_576_422_400:.2e}"
    sizes = [int(row[1].replace(",", "")) for row in found.values()]
    assert sizes == sorted(sizes)


def test_a_vocabulary_changes_the_scales_that_take_the_tokenizers() -> None:
    small, large = (scales.table(vocab_size).splitlines() for vocab_size in (1000, 2000))
    changed = {before.split()[0] for before, after in zip(small, large, strict=True) if before.split() != after.split()}
    assert changed == {"demo", "test"}


def test_a_vocabulary_is_a_number(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        scales.main(["many"])
    assert "invalid int value: 'many'" in capsys.readouterr().err
