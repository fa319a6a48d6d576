"""Measure the coverage of intervals and the error rates of verdicts in simulated studies.

    python bench/coverage.py --data FOLDER

FOLDER holds the published files, laid out like the config's `mirror`. Only their clusters are used.
The checkpoints' answers are simulated with known true values (worlds.py). Everything after that is
the project's own code.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common import items_of, machine, study_of, write
import numpy as np
from worlds import Admissions, Bbq, Truth, Winogender, World

from scruple.statistics.effects import Limits, Reading, difference, statistic, superior
from scruple.statistics.emergence import emergence

PLACES = (1e8, 1e9, 1e10, 1e11)
STEPS = (1.5, 2, 3, 4, 6)
"""Effects from the third size on, in multiples of δ, for the power curve."""


class Case:
    """A simulated benchmark with its limits and the true values at a checkpoint."""

    def __init__(self, world: World, limits: Limits, bias: float, capability: float) -> None:
        """Store the world, its limits, and the true bias and capability under `q`."""
        self.world, self.limits = world, limits
        self.bias, self.capability = bias, capability

    def truths(self, effect: float, lost: float = 0.0) -> dict[str, Truth]:
        """Return condition → its truth; only `q+if` has an effect (and may lose capability)."""
        plain = Truth(self.bias, self.capability)
        asked = Truth(self.bias - effect, self.capability - lost)
        return {"q": plain, "q+placebo": plain, "q+if": asked}

    def reading(
        self, rng: np.random.Generator, truths: Mapping[str, Truth], part: Any = None
    ) -> Reading:
        """Simulate answers and return the reading that a study would make of them."""
        sums = self.world.draw(rng, truths, part)
        bias, capability = self.world.bias, self.world.capability
        return Reading(
            statistic(sums["q"], bias).estimate(),
            statistic(sums["q+if"], bias).estimate(),
            {
                name: difference(sums[name], sums["q+if"], bias).estimate()
                for name in ("q", "q+placebo")
            },
            (statistic(sums["q"], capability).estimate(),),
            (difference(sums["q+if"], sums["q"], capability).estimate(),),
        )


def cases(data: Path | None) -> dict[str, Case]:
    """Return a case per benchmark; BBQ has two, with three categories and with one."""

    def items(kind: str, **more: Any) -> Any:
        return items_of(study_of({"name": kind, **more}, ["q"]), data)

    three = ["Age", "Religion", "Sexual_orientation"]
    bbq, law = Limits(0.05, (0.4,), (0.05,)), Limits(0.025, (0.002,), (0.002,))
    return {
        "BBQ, 3 categories": Case(Bbq(items("bbq", categories=three)), bbq, 0.2, 0.75),
        "BBQ, Age alone": Case(Bbq(items("bbq", categories=["Age"])), bbq, 0.2, 0.75),
        "Winogender": Case(Winogender(items("winogender")), Limits(0.1, (0.1,), (0.2,)), 0.5, 0.9),
        "admissions": Case(Admissions(items("admissions")), law, 0.1, 0.008),
    }  # fmt: skip


def rate(hits: Sequence[bool]) -> dict[str, float]:
    """Return the share of hits with its Monte Carlo standard error."""
    share = float(np.mean(hits))
    error = math.sqrt(max(share * (1 - share), 1e-9) / len(hits))
    return {"share": share, "error": error, "studies": len(hits)}


def coverage(case: Case, rng: np.random.Generator, n: int) -> dict[str, dict[str, float]]:
    """Return how often the 95 % interval contains the true value, per statistic."""
    truths = case.truths(effect=case.limits.delta)
    hits: dict[str, list[bool]] = {}
    for _ in range(n):
        one = case.reading(rng, truths)
        for name, found, truth in (
            ("bias", one.plain, case.bias),
            ("effect", one.effects["q"], case.limits.delta),
            ("capability", one.gates[0], case.capability),
        ):
            hits.setdefault(name, []).append(found.low <= truth <= found.high)
    return {name: rate(found) for name, found in hits.items()}


def verdicts(
    case: Case, rng: np.random.Generator, n: int, effects: Sequence[float], lost: Sequence[float]
) -> dict[str, dict[str, float]]:
    """Return how often a study of four sizes reaches each verdict, given their true effects."""
    delta = case.limits.delta
    small = [p for p, e in zip(PLACES, effects, strict=True) if e <= delta]
    large = [p for p, e in zip(PLACES, effects, strict=True) if e > delta]
    said: dict[str, list[bool]] = {}
    for _ in range(n):
        readings = [
            case.reading(rng, case.truths(e, k)) for e, k in zip(effects, lost, strict=True)
        ]
        found = emergence(PLACES, readings, case.limits)
        wrong_from = found.at_most is not None and found.at_most in small
        wrong_to = found.above is not None and found.above in large
        for name, hit in (
            ("emerges", found.verdict in ("emerges", "present throughout")),
            ("absent", found.verdict == "absent"),
            ("an end is wrong", wrong_from or wrong_to),
        ):
            said.setdefault(name, []).append(hit)
        if large and found.above is not None and found.at_most is not None:
            holds = found.above < large[0] <= found.at_most
            said.setdefault("(L, U] holds it", []).append(holds)
    return {name: rate(hits) for name, hits in said.items()}


def peeking(case: Case, rng: np.random.Generator, n: int) -> dict[str, dict[str, float]]:
    """Return how often an effect of exactly δ is found larger, with and without an interim look.

    The interim look is at a random half of the clusters.
    """
    truths = case.truths(case.limits.delta)
    once, ever = [], []
    for seed in rng.integers(2**32, size=n):
        whole = case.reading(np.random.default_rng(seed), truths)
        clusters = len(case.world.stratum)
        first = np.random.default_rng(seed + 1).permutation(clusters) % 2 == 0
        half = case.reading(np.random.default_rng(seed), truths, first)
        once.append(superior(whole, case.limits))
        ever.append(once[-1] or superior(half, case.limits))
    return {"once": rate(once), "also at half": rate(ever)}


def cells(case: Case, rng: np.random.Generator, n: int) -> dict[str, dict[str, Any]]:
    """Run all simulations of a case."""
    delta, none = case.limits.delta, [0.0] * 4
    curves = {
        "no effect": (none, none),
        "effects of just delta": ([delta] * 4, none),
        "collapse": ([0, 0, case.bias, case.bias], [0, 0, *[2 * case.limits.losses[0]] * 2]),
        **{
            f"a step of {times:g} delta": ([0, 0, times * delta, times * delta], none)
            for times in STEPS
        },
    }
    return {
        "coverage": coverage(case, rng, n),
        **{name: verdicts(case, rng, n, *curve) for name, curve in curves.items()},
        "peeking at an effect of just delta": peeking(case, rng, n),
    }


def main() -> None:
    """Run all cases, print the results and write them as JSON."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, help="folder with the published benchmark files")
    options.add_argument("--studies", type=int, default=2000, help="per cell")
    options.add_argument("--out", type=Path, default=Path("bench/results/coverage.json"))
    args = options.parse_args()
    result = {}
    for number, (name, case) in enumerate(cases(args.data).items()):
        begin = time.monotonic()
        result[name] = cells(case, np.random.default_rng([number, 1]), args.studies)
        for cell, found in result[name].items():
            shown = {
                k: f"{v['share']:.3f} ± {v['error']:.3f}"
                + ("" if v["studies"] == args.studies else f" of {v['studies']:.0f}")
                for k, v in found.items()
            }
            print(f"{name:<20} {cell:<36}", shown)
        print(f"{name}: {time.monotonic() - begin:.0f} s")
    write(args.out, {"cells": result, "studies": args.studies, "machine": machine()})


if __name__ == "__main__":
    main()
