import numpy as np
import pandas as pd
import pytest

from scruple.figures.scaling import _size, draw_scaling
from scruple.figures.style import CONDITIONS, look_of, save
from scruple.metrics import read_metrics

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
                "wording": "" if condition == "q" else "a", "step": None, "metric": "bias_ambiguous",
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
        # beside each other, and nearer to their own size than to the next
        assert np.asarray(line.get_xdata()) == pytest.approx(SIZES, rel=1)
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
    figure = drawn(metrics)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["Q", "Q+IF"]
    assert figure.axes[0].get_ylabel() == "f"


def test_each_family_has_a_row_and_rows_share_their_scale(metrics):
    other = metrics.assign(family="g", value=metrics["value"] * 10)
    kinds = {"bbq": "bbq", "winogender": "winogender"}
    figure = drawn(pd.concat([metrics, other]), kinds=kinds, scoring={"f": "text", "g": "text"})
    assert len(figure.axes) == 6  # BBQ, and correlation and slope of Winogender
    names = [axis.get_ylabel() for axis in figure.axes]
    assert [name for name in names if name] == ["f", "g"]
    assert figure.axes[0].get_ylim() == figure.axes[3].get_ylim()
    assert len({len(axis.lines) for axis in (figure.axes[0], figure.axes[3])}) == 1


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


def test_the_last_of_several_steps_is_drawn(metrics):
    early = metrics.assign(step=100, value=9.0)
    late = metrics.assign(step=200)
    axis = drawn(pd.concat([late, early])).axes[0]
    assert max(max(line.get_ydata()) for line in axis.lines) < 1


@pytest.mark.parametrize(
    ("params", "text"),
    [(70426624, "70.4M"), (999_960_000, "1B"), (11_846_072_320, "11.8B"), (950, "950")],
)
def test_sizes_are_written_shortly(params, text):
    assert _size(params) == text


def test_names_stay_names_whatever_they_look_like(metrics, tmp_path):
    odd = metrics.assign(family="NA", benchmark="007", n_items=1, n_clusters=1)
    odd.to_csv(tmp_path / "m.csv", index=False)
    read = read_metrics(tmp_path / "m.csv")
    figure = drawn(read, kinds={"007": "bbq"}, scoring={"NA": "text"})
    assert len([line for line in figure.axes[0].lines if len(line.get_xdata()) == 3]) == 2


@pytest.mark.parametrize("panels", [1, 2, 3])
def test_the_legend_stays_inside_the_figure(metrics, panels):
    every = [name for name in CONDITIONS if name != "q+follow"]
    rows = pd.concat(
        metrics[metrics["condition"] == "q"].assign(condition=name, benchmark=f"b{panel}", family="smollm2")
        for name in every for panel in range(panels)
    )  # fmt: skip
    kinds = {f"b{panel}": "bbq" for panel in range(panels)}
    figure = drawn(
        rows.assign(wording=""), kinds=kinds, conditions=every, scoring={"smollm2": "text"}
    )
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= figure.bbox.x1
