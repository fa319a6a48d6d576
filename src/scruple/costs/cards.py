"""The cards that a plan knows."""

from __future__ import annotations

from scruple.costs.need import Card
from scruple.errors import ScrupleError
from scruple.study import ROOT, Study, read_yaml


def cards() -> dict[str, Card]:
    """Return the cards that are known, by name."""
    known = read_yaml(ROOT / "data" / "cards.yaml")["cards"]
    return {name: Card(name=name, **numbers) for name, numbers in known.items()}


def card_of(study: Study) -> Card:
    """Return the card that the study plans for (ScrupleError if it is not known)."""
    known = cards()
    if study.compute.card not in known:
        raise ScrupleError(
            f"config: `compute.card` is {study.compute.card!r}; known are {', '.join(known)}. Name "
            "one of them, or add yours to data/cards.yaml."
        )
    return known[study.compute.card]
