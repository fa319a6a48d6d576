"""The `scruple` command: show a study's prompts, plan its size, score answers made elsewhere."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from scruple.errors import ScrupleError
from scruple.study.kinds import KINDS

_COLUMNS = """\
columns of the answers:
  answer      bbq: an option's index (0, 1, 2), letter (a, b, c) or text, or a phrase such as "The
              answer is (c)." or "not enough information"; winogender: a pronoun, or the completed
              sentence; admissions: yes or no
  the item    item_id, or for bbq category, example_id; for winogender occupation, participant; for
              admissions sex, lsat, gpa, race
  condition   how it was asked, if in several ways; metrics are then per condition

columns of the metrics, beside those of a study's metrics.csv:
  value       empty if unclear or missing answers could change it
  value_low, value_high
              the lowest and highest value over everything that these answers could have been
  coverage    share of the metric's items whose answer is known

docs/measure.md says more.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, or 1 after one message about bad input."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except ScrupleError as error:
        print(f"scruple: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scruple", description="Measure whether language models correct their own bias."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    measure = commands.add_parser(
        "measure",
        help="score answers that were made elsewhere",
        description="Score answers that were made elsewhere. What could not be used, and why, is "
        "said on standard error.",
        epilog=_COLUMNS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    measure.add_argument("--benchmark", choices=list(KINDS), required=True)
    measure.add_argument(
        "--items", type=Path, nargs="+", required=True, metavar="FILE", action="extend",
        help="the benchmark's files: bbq .jsonl (and its metadata .csv, if any); winogender "
        "templates.tsv and occupations-stats.tsv; admissions law_data.csv",
    )  # fmt: skip
    measure.add_argument(
        "--answers", type=Path, required=True, metavar="FILE.csv",
        help="the answers; see the columns below",
    )  # fmt: skip
    measure.add_argument(
        "--out", type=Path, required=True, metavar="FILE.csv", help="where the metrics go"
    )
    measure.add_argument(
        "--sampled", action="store_true",
        help="only the items in the answers' file were asked: leave out the others, instead of "
        "counting their answers as unknown",
    )  # fmt: skip
    measure.set_defaults(run=_measure)
    prompts = commands.add_parser(
        "prompts",
        help="print what a study would ask, word for word",
        description="Print one complete prompt per benchmark, condition and checkpoint, of the "
        "first item, as the checkpoint would read it. Nothing is asked and no weights are loaded.",
    )
    prompts.add_argument(
        "--configfile", type=Path, nargs="+", default=[], metavar="STUDY.yaml", action="extend",
        help="config overrides, as for snakemake; without any, the study of config.yaml",
    )  # fmt: skip
    prompts.add_argument("--checkpoint", metavar="NAME", help="only this checkpoint")
    prompts.add_argument("--tokens", action="store_true", help="show the tokens as well")
    prompts.set_defaults(run=_prompts)
    power = commands.add_parser(
        "power",
        help="how many clusters a study needs, from a pilot's effects",
        description="From a pilot's effects, print how many clusters (question templates, "
        "occupations, profiles) each benchmark needs to show an effect, or to show that there is "
        "none.",
    )
    power.add_argument(
        "effects", type=Path, metavar="EFFECTS.csv", help="results/<study>/effects.csv of a pilot"
    )
    power.add_argument(
        "--effect", type=float, action="append", metavar="X",
        help="a true effect to plan for, in units of the metric; may be repeated "
        "(default: 1.5, 2 and 3 times the margin)",
    )  # fmt: skip
    power.add_argument(
        "--power", type=float, default=0.8, metavar="P",
        help="probability of the finding, between 0 and 1 (default: 0.8)",
    )  # fmt: skip
    power.set_defaults(run=_power)
    return parser


def _prompts(options: argparse.Namespace) -> int:
    from scruple.workflow.prompts import printed_prompts, read_study

    study, missing = read_study(options.configfile), False
    for printed in printed_prompts(study, options.checkpoint, options.tokens):
        missing |= printed.missing
        if printed.remark:
            print(f"scruple: {printed.text}", file=sys.stderr)
        else:
            print(printed.text, flush=True)
    return 1 if missing else 0


def _power(options: argparse.Namespace) -> int:
    from scruple.analysis.power import power_table, read_effects

    if not 0.0 < options.power < 1.0:
        raise ScrupleError(f"--power: {options.power:g} is no probability between 0 and 1.")
    for effect in options.effect or []:
        if not 0.0 < effect < math.inf:
            raise ScrupleError(f"--effect: {effect:g} is no effect; give a number above 0.")
    table = power_table(read_effects(options.effects), options.power, options.effect)
    if (table["effect"] <= table["margin"]).any():
        print(
            "scruple: an effect that is not above its margin cannot be shown to be; such rows say "
            "inf",
            file=sys.stderr,
        )
    print(table.to_csv(index=False), end="")
    return 0


def _measure(options: argparse.Namespace) -> int:
    # heavy imports, which wait until the arguments have been parsed
    from scruple.analysis.ranges import measure_answers, printed
    from scruple.benchmarks import benchmark_module
    from scruple.benchmarks.reader import reader_of
    from scruple.files import whole
    from scruple.responses.external import match_answers
    from scruple.study.settings import Benchmark

    for given in (*options.items, options.answers):
        if options.out.exists() and given.exists() and options.out.samefile(given):
            raise ScrupleError(f"--out: {options.out} is one of the inputs; give another name.")
    kind = options.benchmark
    module = benchmark_module(kind)
    items = module.read(options.items, Benchmark(name=kind, kind=kind))
    matched = match_answers(options.answers, items.table, reader_of(module))
    for reason, count in items.left_out["reason"].value_counts().items():
        print(f"scruple: {count} items are left out: {reason}", file=sys.stderr)
    for remark in (*matched.remarks, *matched.gaps(items.table, options.sampled)):
        print(f"scruple: {remark}", file=sys.stderr)
    keys = {"benchmark": kind}
    table = measure_answers(kind, items.table, matched.answers, keys, options.sampled)
    with whole(options.out) as part:
        table.to_csv(part, index=False)
    if not _is_stdout(options.out):
        print(printed(kind, table))
    return 0


def _is_stdout(path: Path) -> bool:
    """Return whether a path is this process's own standard output."""
    try:
        return os.path.samestat(path.stat(), os.fstat(1))
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main())
