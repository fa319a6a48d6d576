"""Time the statistics of a full study, relative to a bootstrap with 10,000 resamples.

    python bench/analysis.py

The study has eight checkpoints, six conditions, and as many templates and items as all of BBQ:
11 categories of 25 templates, 58,492 items, with template sizes drawn as unequal as in BBQ. The
floor is one matrix product per category: the multinomial weights of 10,000 resamples, shared by all
48 cells (checkpoint and condition), times the sums of the cells.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import machine, write
import numpy as np
import pandas as pd
from worlds import Bbq, Truth

from scruple.analysis.curves import curves_table
from scruple.analysis.measurements import Sums, measured
from scruple.analysis.verdicts import effects_table, emergence_table
from scruple.statistics.effects import statistic
from scruple.study.declaration import Timing
from scruple.study.model import ROOT, Study, load_study, read_yaml
from scruple.analysis.sums import select

CONDITIONS = ("q", "q+if", "q+if+cot", "q+placebo", "q+cot", "q+follow")
CATEGORIES, TEMPLATES, AMBIGUOUS = 11, 25, 29_246


def items_like_bbq(rng: np.random.Generator) -> pd.DataFrame:
    """Return the columns of a table of items that the simulated BBQ needs."""
    share = rng.lognormal(0, 0.9, CATEGORIES * TEMPLATES)
    sizes = rng.multinomial(AMBIGUOUS - len(share), share / share.sum()) + 1
    number = np.repeat(np.arange(len(share)), sizes)
    return pd.DataFrame(
        {
            "context_condition": "ambig",
            "stratum": [f"category {k // TEMPLATES:02d}" for k in number],
            "cluster": [f"{k:03d}" for k in number],
        }
    )


def drawn(study: Study, world: Bbq, rng: np.random.Generator) -> dict[tuple[str, str, str], Any]:
    """Simulate every checkpoint's table of sums, in the format that `measure` writes."""
    found = {}
    for checkpoint in study.families[0].checkpoints:
        sums = world.draw(rng, {name: Truth(0.2, 0.75) for name in CONDITIONS})
        tables = []
        for name, one in sums.items():
            clusters = [f"{k:03d}" for k in range(len(one.sums))]
            strata = [one.strata[k] for k in one.stratum]
            place = {"order": 0, "stratum": strata, "cluster": clusters}
            plain = {"condition": name, "wording": "" if name == "q" else "a", "scoring": "text"}
            table = pd.DataFrame(one.sums, columns=list(one.columns))
            weighted = [part for part in table if part.startswith(("biased", "other", "correct"))]
            twins = {f"{part}_expected": table[part] for part in weighted}
            tables.append(table.assign(**twins, **place, **plain))
        found[study.families[0].name, checkpoint.name, "bbq"] = pd.concat(tables)
    return found


def resampled(study: Study, sums: Sums, rng: np.random.Generator, draws: int) -> np.ndarray:
    """Return bootstrap biases of every checkpoint and condition, shape (draws, cells)."""
    cells = [select(table, name, "a", "text") for table in sums.values() for name in CONDITIONS]
    cells = [cell for cell in cells if cell is not None]
    first = cells[0]
    names = list(first.columns)
    places = [names.index(f"{part}_ambiguous") for part in ("biased", "other", "n")]
    columns = np.hstack([cell.sums[:, places] for cell in cells])
    values = np.zeros((draws, len(cells)))
    for stratum in range(len(first.strata)):
        mine = first.stratum == stratum
        weights = rng.multinomial(mine.sum(), np.full(mine.sum(), 1 / mine.sum()), size=draws)
        totals = (weights.astype(float) @ columns[mine]).reshape(draws, len(cells), 3)
        values += (totals[..., 0] - totals[..., 1]) / totals[..., 2]
    return values / len(first.strata)


def timed(work: Callable[..., Any], *given: Any) -> tuple[float, Any]:
    """Call a function; return its CPU seconds and its result."""
    begin = time.process_time()
    result = work(*given)
    return time.process_time() - begin, result


def main() -> None:
    """Run all rounds, print the results and write them as JSON."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--draws", type=int, default=10_000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--out", type=Path, default=Path("bench/results/analysis.json"))
    args = options.parse_args()
    config = read_yaml(ROOT / "config.yaml")
    config |= {
        "benchmarks": [{"name": "bbq", "source": "own", "scoring": ["text"]}],
        "conditions": list(CONDITIONS),
    }
    study = load_study(config)
    rng = np.random.default_rng(1)
    world = Bbq(items_like_bbq(rng))
    sums = drawn(study, world, rng)
    rounds = []
    for _ in range(args.rounds):
        floor, values = timed(resampled, study, sums, rng, args.draws)
        readings, found = timed(measured, study, sums)
        effects, _ = timed(effects_table, study, found)
        verdicts, _ = timed(emergence_table, study, found, Timing())
        curves, _ = timed(curves_table, study, sums, found)
        rounds.append(
            {"floor": floor, "readings": readings, "tables": effects + verdicts, "curves": curves,
             "ratio": (readings + effects + verdicts) / floor}
        )  # fmt: skip
        print({name: round(value, 2) for name, value in rounds[-1].items()})
    plain = select(next(iter(sums.values())), "q", "a", "text")
    estimate = statistic(plain, world.bias).estimate()
    ratio = estimate.error / float(values[:, 0].std())
    print(f"standard error, jackknife to bootstrap: {ratio:.3f}; items {estimate.items}")
    write(args.out, {"rounds": rounds, "error_ratio": ratio, "machine": machine()})


if __name__ == "__main__":
    main()
