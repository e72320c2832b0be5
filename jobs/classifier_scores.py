"""How well a classifier of pages tells held-out good ones from others, and which bound keeps which share of each."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from lakeloom.filters.fasttextfile import LABEL
from lakeloom.filters.kernel import Doubles
from lakeloom.filters.quality import HIGH, high_quality_probability
from lakeloom.filters.textindex import TextIndex
from lakeloom.lakehouse.report import Sheet

SHARES = (0.5, 0.2, 0.1, 0.05, 0.01)  # of the other pages
_CHUNK = 1000  # lines scored at a time


@dataclass(frozen=True)
class Scores:
    """Probabilities of high quality of held-out pages."""

    positives: Doubles
    negatives: Doubles

    @property
    def metrics(self) -> dict[str, float]:
        """accuracy (fastText's P@1), precision, recall and auc; none where a label has no held-out page."""
        if not (len(self.positives) and len(self.negatives)):
            return {}
        hits, false = int((self.positives >= 0.5).sum()), int((self.negatives >= 0.5).sum())
        num = len(self.positives) + len(self.negatives)
        others = np.sort(self.negatives)
        below, upto = (np.searchsorted(others, self.positives, side) for side in ("left", "right"))
        area = (below + upto).mean() / 2 / len(others)  # a draw counts half
        return {
            "accuracy": (hits + len(self.negatives) - false) / num,
            "precision": hits / (hits + false) if hits + false else 0.0,
            "recall": hits / len(self.positives),
            "auc": float(area),
        }

    def bounds(self) -> Sheet:
        """Bounds for about SHARES of the other pages, as fine as there are such pages: what they keep of both kinds."""
        wanted = [share for share in SHARES if share * len(self.negatives) >= 1] if self.metrics else []
        found = dict.fromkeys(self.bound(share) for share in wanted)
        cells = tuple(
            (bound, f"{(self.negatives >= bound).mean():.1%}", f"{(self.positives >= bound).mean():.1%}")
            for bound in found
        )
        return Sheet("bounds, by held-out pages", ("min", "keeps of the others", "of the good"), cells)

    def bound(self, share: float) -> float:
        """The smallest probability of the best `share` of the other pages."""
        best = np.sort(self.negatives)[::-1]
        return float(best[round(share * len(best)) - 1])


def score(model: Path, holdout: Path) -> Scores:
    """Score a file of lines `__label__name text`."""
    found: dict[bool, list[Doubles]] = {True: [], False: []}
    with holdout.open(encoding="utf-8", newline="\n") as file:
        while chunk := list(islice(file, _CHUNK)):
            labels, texts = zip(*(line.rstrip("\n").split(" ", 1) for line in chunk), strict=True)
            scores = high_quality_probability(TextIndex.of(pa.array(texts, pa.string())), model_file=model)
            is_good = np.array([label == LABEL + HIGH for label in labels])
            numbers = scores.to_numpy(zero_copy_only=False)
            found[True].append(numbers[is_good])
            found[False].append(numbers[~is_good])
    return Scores(*(np.concatenate([np.zeros(0), *found[is_good]]) for is_good in (True, False)))
