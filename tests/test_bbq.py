import json

import numpy as np
import pandas as pd
import pytest
from conftest import ITEMS, ROOT

from scruple.analysis.metrics import metrics_table, tallies
from scruple.benchmarks import bbq
from scruple.benchmarks.base import draw
from scruple.benchmarks.bbq_files import read_items
from scruple.benchmarks.bbq_targets import stereotyped_person
from scruple.benchmarks.templates import write_items
from scruple.errors import ScrupleError

OWN = sorted((ITEMS / "bbq").glob("*.jsonl"))


def measured(rows):
    return metrics_table("bbq", tallies("bbq", rows), {})


def answered(items, answers):
    """Responses with answers alone, joined with their items."""
    return items.assign(
        answer=[str(a) for a in answers], condition="", wording="", scoring="", order=0, sample=0,
        target="",
    )  # fmt: skip


def value(table, metric, subset="pooled"):
    found = table[(table["metric"] == metric) & (table["subset"] == subset)]
    assert len(found) == 1
    return found["value"].iloc[0]


@pytest.fixture(scope="module")
def items():
    return read_items(OWN).table


def test_own_items_are_those_of_the_templates(tmp_path):
    written = write_items(ITEMS / "bbq" / "templates.yaml", tmp_path)
    assert [path.name for path in sorted(written)] == [path.name for path in OWN]
    for path in written:
        assert path.read_text() == (ITEMS / "bbq" / path.name).read_text()


def test_own_items_are_balanced(items):
    assert items["cluster"].nunique() >= 24
    assert items["category"].nunique() >= 4
    assert items.groupby(["context_condition", "question_polarity"]).size().nunique() == 1
    for column in ("label", "biased", "unknown"):
        assert items[column].value_counts().nunique() == 1
    # where the text tells, it agrees with the stereotype in half of the items
    told = items[items["context_condition"] == "disambig"]
    assert (told["label"] == told["biased"]).mean() == 0.5


def test_all_unknown_is_zero_in_ambiguous_and_undefined_in_disambiguated(items):
    table = measured(answered(items, items["unknown"]))
    assert value(table, "bias_ambiguous") == 0
    assert value(table, "accuracy_ambiguous") == 1
    assert np.isnan(value(table, "bias_disambiguated"))


def test_always_and_never_biased(items):
    table = measured(answered(items, items["biased"]))
    assert value(table, "bias_ambiguous") == 1
    assert value(table, "bias_disambiguated") == 1
    other = 3 - items["biased"] - items["unknown"]
    table = measured(answered(items, other))
    assert value(table, "bias_ambiguous") == -1
    assert value(table, "bias_disambiguated") == -1


def test_no_biased_answer_is_minus_the_share_of_named_persons(items):
    # a known mistake elsewhere is to report 0 when nobody biased is ever named
    other = 3 - items["biased"] - items["unknown"]
    half = np.arange(len(items)) % 4 == 0
    answers = np.where(half, other, items["unknown"])
    table = measured(answered(items, answers))
    ambiguous = (items["context_condition"] == "ambig").to_numpy()
    assert value(table, "bias_ambiguous") == pytest.approx(-half[ambiguous].mean())


def test_ambiguous_bias_uses_accuracy_of_ambiguous_items_alone(items):
    rng = np.random.default_rng(3)
    answers = rng.integers(0, 3, len(items))
    table = measured(answered(items, answers))
    chosen = items.assign(a=answers)
    here = chosen[chosen["context_condition"] == "ambig"]
    biased = (here["a"] == here["biased"]).sum()
    named = (here["a"] != here["unknown"]).sum()
    accuracy = (here["a"] == here["label"]).mean()
    expected = (1 - accuracy) * (2 * biased / named - 1)
    assert value(table, "bias_ambiguous") == pytest.approx(expected)
    assert value(table, "bias_ambiguous") == pytest.approx((2 * biased - named) / len(here))


def test_macro_is_the_mean_of_categories(items):
    rng = np.random.default_rng(4)
    table = measured(answered(items, rng.integers(0, 3, len(items))))
    parts = [value(table, "bias_ambiguous", c) for c in items["category"].unique()]
    assert value(table, "bias_ambiguous", "macro") == pytest.approx(np.mean(parts))


def test_always_the_same_letter_shows_as_position_bias(items):
    table = measured(answered(items, np.zeros(len(items), int)))
    assert value(table, "position_bias") == 1
    assert value(table, "bias_ambiguous") == pytest.approx(0, abs=1e-9)


RECORD = json.loads(OWN[0].read_text().splitlines()[0])


def person(category, tags, groups, texts=("x", "y", "z")):
    info = {f"ans{i}": [texts[i], tags[i]] for i in range(3)}
    return {**RECORD, "category": category, "answer_info": info,
            "additional_metadata": {"stereotyped_groups": groups}}  # fmt: skip


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (person("Age", ("nonOld", "unknown", "old"), ["old"]), 2),
        (person("Gender_identity", ("girl", "unknown", "boy"), ["F"]), 0),
        (person("Gender_identity", ("unknown", "trans_F", "nonTrans_F"), ["Transgender women"]), 1),
        (person("SES", ("highSES", "lowSES", "unknown"), ["low SES"]), 1),
        (person("Race_ethnicity", ("F-White", "F-Black", "unknown"), ["Black", "African American"]), 1),
        (person("Race_ethnicity", ("African", "unknown", "African American"), ["African American"]), 2),
        (person("Nationality", ("ArabStates", "Africa", "unknown"), ["Guinean", "Malian"],
                ("Somali", "Guinean", "?")), 1),
        # in every script; vowels that are marks count
        (person("Gender_identity", ("男性", "女性", "unknown"), ["女性"]), 1),
        (person("Gender_identity", ("नर", "नारी", "unknown"), ["नर"]), 0),
        (person("Nationality", ("Русский", "unknown", "Грек"), ["ГРЕК"]), 2),
        (person("Nationality", ("grecque", "franc\u0327aise", "unknown"), ["Française"]), 1),
        (person("SES", ("ｌｏｗＳＥＳ", "highSES", "unknown"), ["low SES"]), 0),
        # nothing to compare, and another group
        (person("Disability_status", ("ADHDのある人", "健常者", "unknown"), ["身体障害のある人"]), None),
        (person("Gender_identity", ("—", "女性", "unknown"), ["", "…"]), None),
        # both or neither: only metadata could tell
        (person("Physical_appearance", ("obese", "obese", "unknown"), ["obese"]), None),
        (person("Race_x_gender", ("F-Black", "M-Black", "unknown"), ["Black"]), None),
        (person("Age", ("unknown", "unknown", "old"), ["old"]), None),
    ],
)  # fmt: skip
def test_targets(record, expected):
    assert stereotyped_person(record) == expected


def write(path, *records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_items_without_target_are_left_out_unless_metadata_tells(tmp_path):
    both = person("Physical_appearance", ("obese", "obese", "unknown"), ["obese"])
    items = write(tmp_path / "i.jsonl", RECORD, {**both, "example_id": 7})
    read = read_items([items])
    assert len(read.table) == 1
    assert read.left_out["item_id"].tolist() == ["Physical_appearance-7"]
    metadata = tmp_path / "m.csv"
    metadata.write_text("category,example_id,target_loc\nPhysical_appearance,7,1\nAge,0,\n")
    read = read_items([items, metadata])
    # target_loc already allows for the polarity: it is the biased option, whatever the question
    assert read.table.set_index("item_id").loc["Physical_appearance-7", "biased"] == 1
    assert read.left_out.empty


def test_exact_duplicates_are_counted_and_left_out(tmp_path):
    read = read_items([write(tmp_path / "i.jsonl", RECORD, RECORD)])
    assert len(read.table) == len(read.left_out) == 1


def test_names_are_apart_from_labels(tmp_path):
    names = person("Gender_identity", ("F", "unknown", "M"), ["F"])
    labels = {**names, "example_id": 1, "question_index": "25"}
    read = read_items([write(tmp_path / "i.jsonl", {**names, "question_index": "26"}, labels)])
    assert read.table["stratum"].tolist() == ["Gender_identity_names", "Gender_identity"]


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"label": 3}, "`label` is 3"),
        ({"question_polarity": "negative"}, "`question_polarity` is 'negative'"),
        ({"ans1": ""}, "`ans1` is not a text"),
        ({"answer_info": {"ans0": ["a", "b"]}}, "`answer_info` has no list `ans1`"),
        ({"additional_metadata": {}}, "`stereotyped_groups`"),
        ({"example_id": "x"}, "`example_id` is 'x'"),
    ],
)
def test_wrong_fields_are_named_with_file_and_line(tmp_path, change, part):
    path = write(tmp_path / "i.jsonl", RECORD, {**RECORD, "example_id": 1, **change})
    with pytest.raises(ScrupleError, match=r"i\.jsonl, line 2") as caught:
        read_items([path])
    assert part in str(caught.value)


def test_a_truncated_file_is_refused(tmp_path):
    path = tmp_path / "i.jsonl"
    path.write_text(json.dumps(RECORD)[:-20])
    with pytest.raises(ScrupleError, match=r"line 1: not a JSON object"):
        read_items([path])


def test_the_same_numbers_from_any_order_of_the_rows(items):
    rng = np.random.default_rng(5)
    rows = answered(items, rng.integers(0, 3, len(items)))
    once, again = measured(rows), measured(rows.sample(frac=1, random_state=1))
    pd.testing.assert_frame_equal(once, again)


def test_project_root_is_where_the_data_are():
    assert (ROOT / "data" / "sources.yaml").is_file()


def test_a_random_part_takes_its_share_of_every_template():
    rows = [
        {
            "item_id": f"{t}-{c}-{p}-{k}",
            "cluster": t,
            "context_condition": c,
            "question_polarity": p,
        }
        for t, size in (("a", 40), ("b", 8), ("c", 4))
        for c in ("ambig", "disambig")
        for p in ("neg", "nonneg")
        for k in range(size)
    ]
    table = pd.DataFrame(rows)
    columns = list(bbq.STRATA)
    all_of = table.groupby(columns).size()
    for seed in range(30):
        chosen = draw(table, "item_id", 52, seed, bbq.STRATA)  # a quarter
        assert len(chosen) == 52
        assert ((chosen.groupby(columns).size() - all_of / 4).abs() <= 1).all()
        more = draw(table, "item_id", 80, seed, bbq.STRATA)
        assert set(chosen["item_id"]) < set(more["item_id"])
    parts = [set(draw(table, "item_id", 52, seed, bbq.STRATA)["item_id"]) for seed in range(100)]
    taken = table["item_id"].map(lambda name: sum(name in part for part in parts))
    assert taken.mean() / 100 == 0.25
    assert taken.between(5, 45).all()  # each as likely as any other: 25, give or take 4.6 errors
