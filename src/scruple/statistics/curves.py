"""Shapes of effect against the logarithm of size, and which of them the data can tell apart.

Models are fitted by generalised least squares, with the covariance of the checkpoints' effects,
which share their items. Against the simpler one, a shape is compared by the likelihood ratio, whose
distribution is simulated under the simpler fit: for six to eight sizes no asymptotic one would do.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

DRAWS = 1000
"""Curves simulated per comparison: a p-value of 0.05 is then known to within 0.014."""


@dataclass(frozen=True)
class Fit:
    """A shape fitted to effects.

    Attributes:
        model: one of MODELS.
        distance: squared distance between effects and fit in units of their covariance: −2 log
            likelihood but for a constant.
        fitted: the shape's values, shape (K,).
    """

    model: str
    distance: float
    fitted: np.ndarray


MODELS = ("constant", "linear", "break", "isotonic")
"""Shapes: flat; a line; flat up to a break and a line from there; never falling."""


class _Fitter:
    """Fits shapes to many curves at once, in coordinates in which their covariance is 1."""

    def __init__(self, x: np.ndarray, covariance: np.ndarray) -> None:
        self.root = np.linalg.cholesky(covariance)
        self.white = np.linalg.inv(self.root)
        ones = np.ones(len(x))
        knots = [np.linspace(a, b, 4, endpoint=False) for a, b in itertools.pairwise(x)]
        lines = {
            "constant": [ones[:, None]],
            "linear": [np.column_stack([ones, x])],
            "break": [
                np.column_stack([ones, np.maximum(x - knot, 0)]) for knot in np.concatenate(knots)
            ],
        }
        self._bases = {
            name: [np.linalg.qr(self.white @ columns)[0] for columns in shapes]
            for name, shapes in lines.items()
        }
        steps = self.white @ np.tril(np.ones((len(x), len(x))))
        self._steps = np.column_stack([-steps[:, :1], steps])  # the start may be below zero

    def fit(self, model: str, curves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return distances, shape (N,), and fits, shape (N, K), of N whitened curves."""
        if model == "isotonic":
            fitted = np.array([self._steps @ nnls(self._steps, curve)[0] for curve in curves])
            return ((curves - fitted) ** 2).sum(axis=1), fitted
        fits = np.array([curves @ basis @ basis.T for basis in self._bases[model]])
        distances = ((curves - fits) ** 2).sum(axis=2)
        best = distances.argmin(axis=0)
        every = np.arange(len(curves))
        return distances[best, every], fits[best, every]


def fit(x: np.ndarray, effects: np.ndarray, covariance: np.ndarray) -> dict[str, Fit]:
    """Fit every shape.

    Args:
        x: places on the axis (log10 of parameters), ascending, shape (K,).
        effects: shape (K,).
        covariance: of the effects, shape (K, K), positive definite.

    Raises:
        numpy.linalg.LinAlgError: if the covariance is not positive definite.
    """
    fitter = _Fitter(x, covariance)
    found = {}
    for model in MODELS:
        distances, fitted = fitter.fit(model, (fitter.white @ effects)[None])
        found[model] = Fit(model, float(distances[0]), fitter.root @ fitted[0])
    return found


def compare(
    x: np.ndarray, effects: np.ndarray, covariance: np.ndarray, simpler: str, other: str, seed: int
) -> float:
    """Return the p-value of the simpler shape against another, by a parametric bootstrap.

    Curves are drawn from the simpler fit with the covariance; p is the share of them, the observed
    one counted, whose likelihood ratio is at least as large (Davison & Hinkley 1997, "Bootstrap
    Methods and their Application", ch. 4).
    """
    fitter = _Fitter(x, covariance)
    observed = (fitter.white @ effects)[None]
    noise = np.random.default_rng(seed).normal(size=(DRAWS, len(x)))
    curves = np.concatenate([observed, fitter.fit(simpler, observed)[1] + noise])
    ratios = fitter.fit(simpler, curves)[0] - fitter.fit(other, curves)[0]
    rounding = 1e-9 * (1 + fitter.fit(simpler, observed)[0][0])
    if ratios[0] < rounding:
        return 1.0
    return float((ratios >= ratios[0] - rounding).mean())
