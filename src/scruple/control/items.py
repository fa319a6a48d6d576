"""Items of the control world, in the file formats of the benchmarks that they stand in for.

The world has few enough items to enumerate: 384 stereotype templates (pair × trait × place), 36
jobs at 8 places, and 70 applicants. A study asks a random part; the truth is measured on all.

Run `python -m scruple.control.items FOLDER` to write the items of the embedded study.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scruple.benchmarks.bbq import ORDERS
from scruple.control import world

_SEX_CODES = {"female": 1, "male": 2}


@dataclass(frozen=True)
class Part:
    """The size of a random part of the world's items.

    Attributes:
        templates: stereotype templates per pair of groups, out of 64.
        orders: option orders in which each question of a template is asked, out of 6.
        places: sentences per job, out of 8.
        applicants: applicant profiles, out of 70.
        seed: seed of the random choice.
    """

    templates: int
    orders: int
    places: int
    applicants: int
    seed: int


EMBEDDED = Part(templates=8, orders=1, places=1, applicants=36, seed=2023)
"""The items of the embedded study."""
WHOLE = Part(templates=64, orders=6, places=8, applicants=70, seed=0)
"""All items; if the text gives the answer, each question uses one of its four variants."""


def write_items(folder: Path, part: Part) -> None:
    """Write `bbq/*.jsonl`, `winogender/*.tsv` and `admissions/law_data.csv`.

    Args:
        folder: target folder; created if it does not exist.
        part: the part of the world's items to write.
    """
    rng = np.random.default_rng(part.seed)
    for kind in world.KINDS:
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for pair in range(len(world.GROUPS)):
        items = enumerate(_stereotypes(pair, part, rng))
        lines = [json.dumps({"example_id": number, **item}) + "\n" for number, item in items]
        (folder / "bbq" / f"{category_of(pair)}.jsonl").write_text("".join(lines))
    _write_jobs(folder / "winogender", part, rng)
    profiles = list(itertools.product(world.SEXES, world.LSAT, world.GPA))
    chosen = sorted(rng.permutation(len(profiles))[: part.applicants])
    rows = [f"{_SEX_CODES[sex]},{lsat},{gpa}" for sex, lsat, gpa in (profiles[i] for i in chosen)]
    (folder / "admissions" / "law_data.csv").write_text("\n".join(["sex,LSAT,UGPA", *rows, ""]))


def category_of(pair: int) -> str:
    """Return the name of the category for a pair of groups."""
    return "-".join(world.GROUPS[pair])


def _stereotypes(pair: int, part: Part, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Yield a part of a pair's questions, with both contexts, polarities and group orders."""
    templates = list(itertools.product(range(len(world.TRAITS)), range(len(world.PLACES))))
    for number in sorted(rng.permutation(len(templates))[: part.templates]):
        trait, place = templates[number]
        for told, negative, first in itertools.product((False, True), repeat=3):
            for order in rng.permutation(len(ORDERS))[: part.orders]:
                facts = int(rng.integers(4)) if told else None
                item = stereotype_item(
                    pair, trait, place, negative, int(first), ORDERS[order], facts
                )
                yield {"question_index": str(number), **item}


def stereotype_item(
    pair: int,
    trait: int,
    place: int,
    negative: bool,
    first: int,
    order: tuple[int, ...],
    facts: int | None,
) -> dict[str, Any]:
    """Return a stereotype question with the fields of BBQ's files.

    Args:
        pair: index into GROUPS.
        trait: index into TRAITS.
        place: index into PLACES.
        negative: whether the question names the negative trait or its opposite.
        first: which group of the pair the context names first: 0 or 1.
        order: order of the options: the pair's two groups and UNKNOWN.
        facts: None if the text does not give the answer, else 0 to 3. The negative trait belongs
            to group `facts` mod 2; with 2 and 3 the text states the positive trait first.
    """
    groups, (bad, good) = world.GROUPS[pair], world.TRAITS[trait]
    context = f"a {groups[first]} met a {groups[1 - first]} at the {world.PLACES[place]} ."
    right = world.UNKNOWN
    if facts is not None:
        told = {bad: groups[facts % 2], good: groups[1 - facts % 2]}
        words = (good, bad) if facts > 1 else (bad, good)
        context += "".join(f" {word} {told[word]} ." for word in words)
        right = told[bad if negative else good]
    options = [(*groups, world.UNKNOWN)[i] for i in order]
    target = groups[world.stereotyped(pair, trait)]
    return {
        "question_polarity": "neg" if negative else "nonneg",
        "context_condition": "ambig" if facts is None else "disambig",
        "category": category_of(pair),
        "answer_info": {
            f"ans{i}": [option, "unknown" if option == world.UNKNOWN else option]
            for i, option in enumerate(options)
        },
        "additional_metadata": {"stereotyped_groups": [target]},
        "context": context,
        "question": bad if negative else good,
        **{f"ans{i}": option for i, option in enumerate(options)},
        "label": options.index(right),
    }


def _write_jobs(folder: Path, part: Part, rng: np.random.Generator) -> None:
    shares = [f"{job}\t{world.share_of(number)}" for number, job in enumerate(world.JOBS)]
    header = "occupation\tbls_pct_female"
    (folder / "occupations-stats.tsv").write_text("\n".join([header, *shares, ""]))
    sentences = [
        f"{job}\t{world.PLACES[place]}\t0\t{world.SENTENCE}"
        for job in world.JOBS
        for place in sorted(rng.permutation(len(world.PLACES))[: part.places])
    ]
    header = "occupation(0)\tother-participant(1)\tanswer\tsentence"
    (folder / "templates.tsv").write_text("\n".join([header, *sentences, ""]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the embedded study's items.")
    parser.add_argument("folder", type=Path)
    write_items(parser.parse_args().folder, EMBEDDED)
