"""Shapes of the effect against the logarithm of size, and tests between them.

Shapes are fitted by generalised least squares. The covariance is that of the checkpoints' effects,
which are correlated because checkpoints share their items. A shape is compared with a simpler one
by a likelihood ratio, whose distribution is simulated under the simpler fit. With six to eight
sizes an asymptotic distribution would not be accurate.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

DRAWS = 1000
"""Simulated curves per comparison; a p-value of 0.05 is then accurate to ± 0.014."""


@dataclass(frozen=True)
class Fit:
    """A shape fitted to effects.

    Attributes:
        model: one of MODELS.
        distance: squared Mahalanobis distance between effects and fit: −2 log likelihood up to a
            constant.
        fitted: the fitted effects, shape (K,).
    """

    model: str
    distance: float
    fitted: np.ndarray


MODELS = ("constant", "linear", "break", "isotonic")
"""Shapes: flat; a line; flat up to a break, then a line; never falling."""


class _Fitter:
    """Fits shapes to many curves at once, after whitening: their covariance is the identity."""

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
        self._steps = np.column_stack([-steps[:, :1], steps])  # the first value may be negative

    def fit(self, model: str, curves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return distances, shape (N,), and whitened fits, shape (N, K), of N whitened curves."""
        if model == "isotonic":
            fitted = np.array([self._steps @ nnls(self._steps, curve)[0] for curve in curves])
            return ((curves - fitted) ** 2).sum(axis=1), fitted
        fits = np.array([curves @ basis @ basis.T for basis in self._bases[model]])
        distances = ((curves - fits) ** 2).sum(axis=2)
        best = distances.argmin(axis=0)
        every = np.arange(len(curves))
        return distances[best, every], fits[best, every]


def fit(x: np.ndarray, effects: np.ndarray, covariance: np.ndarray) -> dict[str, Fit]:
    """Fit all shapes of MODELS, and return them by name.

    Args:
        x: places on the axis (log10 of parameters), ascending, shape (K,).
        effects: the effect at each place, shape (K,).
        covariance: covariance matrix of the effects, shape (K, K), positive definite.

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
    """Return the p-value of a simpler shape against another, by a parametric bootstrap.

    Curves are drawn around the simpler fit, with the covariance of the effects. The p-value is the
    share of curves, including the observed one, whose likelihood ratio is at least as large as the
    observed one (Davison & Hinkley 1997, "Bootstrap Methods and their Application", ch. 4).

    Args:
        x: places on the axis (log10 of parameters), ascending, shape (K,).
        effects: the effect at each place, shape (K,).
        covariance: covariance matrix of the effects, shape (K, K), positive definite.
        simpler: the null hypothesis, one of MODELS.
        other: the alternative, one of MODELS.
        seed: seed of the simulation.
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
