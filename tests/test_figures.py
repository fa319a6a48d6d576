import numpy as np
import pandas as pd
import pytest

from scruple.figures.scaling import draw_scaling
from scruple.figures.style import CONDITIONS, look_of, save

SIZES = [70e6, 410e6, 2.8e9]


@pytest.fixture
def metrics():
    rows = []
    for condition in ("q", "q+if"):
        for place, params in enumerate(SIZES):
            value = 0.1 * place - (0.1 if condition == "q+if" else 0)
            rows.append({
                "family": "f", "stage": "base", "params": params, "benchmark": "bbq",
                "subset": "pooled", "condition": condition, "scoring": "text",
                "wording": None if condition == "q" else "a", "metric": "bias_ambiguous",
                "value": value, "ci_low": value - 0.05, "ci_high": value + 0.05,
            })  # fmt: skip
    return pd.DataFrame(rows)


def drawn(metrics, **changes):
    options = {"kinds": {"bbq": "bbq"}, "conditions": ["q", "q+if", "q+follow"], "wording": "a",
               "scoring": {"f": "text"}, **changes}  # fmt: skip
    return draw_scaling(metrics, **options)


def test_points_are_the_tables(metrics):
    axis = drawn(metrics).axes[0]
    lines = {line.get_color(): line for line in axis.lines if len(line.get_xdata()) == 3}
    for condition in ("q", "q+if"):
        expected = metrics[metrics["condition"] == condition]
        line = lines[CONDITIONS[condition][0]]
        assert line.get_ydata() == pytest.approx(expected["value"].tolist())
        # dodged by a few per cent, not more
        assert np.asarray(line.get_xdata()) == pytest.approx(SIZES, rel=0.15)
    assert axis.get_xscale() == "log"
    parity = [line for line in axis.lines if set(line.get_ydata()) == {0}]
    assert parity


def test_other_wordings_and_scorings_are_not_drawn(metrics):
    other = metrics.assign(scoring="letter", value=9.0)
    axis = drawn(pd.concat([metrics, other])).axes[0]
    assert max(max(line.get_ydata()) for line in axis.lines) < 1


def test_undefined_values_leave_a_gap(metrics):
    metrics.loc[1, ["value", "ci_low", "ci_high"]] = np.nan
    line = next(line for line in drawn(metrics).axes[0].lines if len(line.get_xdata()) == 3)
    assert np.isnan(line.get_ydata()[1])


def test_legend_names_what_is_drawn(metrics):
    texts = [text.get_text() for text in drawn(metrics).legends[0].get_texts()]
    assert texts == ["Q", "Q+IF"]


def test_the_same_table_gives_the_same_bytes(metrics, tmp_path):
    for kind in ("png", "svg", "pdf"):
        one, two = tmp_path / f"one.{kind}", tmp_path / f"two.{kind}"
        save(drawn(metrics), [str(one)])
        save(drawn(metrics), [str(two)])
        assert one.read_bytes() == two.read_bytes()


def test_every_condition_looks_different():
    looks = [look_of(name, CONDITIONS) for name in CONDITIONS]
    own = ["q+kind", "q+fair"]
    looks += [look_of(name, own) for name in own]
    assert len({color for color, _, _ in looks}) == len({marker for _, marker, _ in looks}) == 9
