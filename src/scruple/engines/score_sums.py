"""Collect log-probabilities request by request; used by every engine's scoring."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from scruple.engines import ScoreRequest, Scores
from scruple.engines.tokens import Encoded, independent
from scruple.errors import ScrupleError


class ScoreSums:
    """Sums of log-probabilities per candidate; a request is finished once it has all its parts."""

    def __init__(
        self,
        requests: Sequence[ScoreRequest],
        encoded: Sequence[Encoded],
        parts: Callable[[Encoded], int],
    ) -> None:
        """Start with all sums at 0.

        Args:
            requests: the requests to score.
            encoded: their tokens.
            parts: returns how many values complete a request.
        """
        self._requests = requests
        self._encoded = encoded
        self._sums = [[0.0] * len(request.candidates) for request in encoded]
        self._waiting = [parts(request) for request in encoded]

    def add(self, values: Iterable[tuple[int, int, float]]) -> dict[int, Scores]:
        """Add values; return the requests that are now finished, with their scores.

        Args:
            values: (index of the request, index of the candidate, log-probability of one or more
                tokens of the candidate).

        Raises:
            ScrupleError: naming the request, if a value is NaN.
        """
        done: dict[int, Scores] = {}
        for i, j, value in values:
            if math.isnan(value):
                raise ScrupleError(
                    f"{self._requests[i].key}: the checkpoint gives no probabilities (NaN): its "
                    "weights are damaged, or `compute.dtype` is too narrow for them; try bfloat16 "
                    "or float32."
                )
            self._sums[i][j] += value
            self._waiting[i] -= 1
            if self._waiting[i] == 0:
                done[i] = _scores(self._encoded[i], self._sums[i])
        return done


def _scores(encoded: Encoded, logprobs: list[float]) -> Scores:
    candidates = encoded.candidates
    firsts = [candidates.index(candidate) == i for i, candidate in enumerate(candidates)]
    return Scores(
        tuple(lp if first else -math.inf for lp, first in zip(logprobs, firsts, strict=True)),
        tuple(len(candidate) for candidate in candidates),
        sum(math.exp(logprobs[i]) for i in independent(candidates)),
        len(encoded.context),
    )
