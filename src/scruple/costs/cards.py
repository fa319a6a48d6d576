"""The GPUs, called cards, that a study can be planned for."""

from __future__ import annotations

from dataclasses import replace

import psutil

from scruple.costs.need import Card
from scruple.errors import ScrupleError
from scruple.study.model import ROOT, Study, read_yaml


def cards() -> dict[str, Card]:
    """Return name → card, for all cards in data/cards.yaml."""
    known = read_yaml(ROOT / "data" / "cards.yaml")["cards"]
    return {name: Card(name=name, **numbers) for name, numbers in known.items()}


def card_of(study: Study) -> Card:
    """Return the card that the study plans for, with `compute.gpu_memory` if the config sets it.

    Raises:
        ScrupleError: if data/cards.yaml does not list the card.
    """
    known = cards()
    if study.compute.card not in known:
        raise ScrupleError(
            f"config: `compute.card` is {study.compute.card!r}; known are {', '.join(known)}. Name "
            "one of them, or add yours to data/cards.yaml."
        )
    card = known[study.compute.card]
    memory = study.compute.gpu_memory
    return card if memory is None else replace(card, memory_gb=memory)


def processor() -> Card:
    """Return this machine's CPU as a card, with a rate in proportion to its physical cores."""
    each = read_yaml(ROOT / "data" / "cards.yaml")["processor"]
    cores = psutil.cpu_count(logical=False) or 1
    return Card(
        name=f"this machine's {cores} CPU cores",
        memory_gb=psutil.virtual_memory().total / 1e9,
        tflops=each["tflops_per_core"] * cores,
        bandwidth_gbs=each["bandwidth_gbs"],
    )
