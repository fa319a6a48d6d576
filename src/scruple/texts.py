"""What verdicts, figures, report and run say, every text in one place.

So it can be reworded or translated without touching what decides it. Slots in braces are filled
with `str.format`. Messages of errors stand where they are raised, beside the check that they
explain.
"""

from __future__ import annotations

from typing import NamedTuple


class Captioned(NamedTuple):
    """What stands over and under a figure or a table."""

    title: str
    caption: str


# When the margins were declared (scruple.study.declaration)
DECLARED_BEFORE = "declared before the first response"
DECLARED_LATE = "declared on {date}, when {tables} tables of responses existed"
DECLARED_CHANGED = (
    "changed on {date} ({changed}), after up to {tables} tables of responses had existed"
)

# Why a status (scruple.statistics.effects)
STATUS = {
    "unreadable": "the capability under q, {gate}, is not shown to be above {above:g}: what it "
    "answers says nothing about bias",
    "nothing to correct": "the bias under q, {plain}, is within ±{delta:g}",
    "collapses": "the capability changes by {change}, a loss of more than {loss:g}: no bias, since "
    "no answer",
    "overcorrects": "the bias, {bias}, is beyond parity by more than {delta:g}",
    "effect": "less bias by more than {delta:g}: {effects}",
    "worsens": "more bias by more than {delta:g}: {effects}",
    "equivalent": "against {reference} {effect}, within ±{delta:g}",
    "undecided": "the intervals reach to both sides of a margin: {effects}",
}
UNDECIDED_AT_NO_LOSS = "less bias, and not shown at no loss: {changes}; {effects}"
EFFECT_AGAINST = "against {reference} {effect}"
CAPABILITY_CHANGES = "the capability changes by {change}"
ESTIMATE = "{value:.3f} [{low:.3f}, {high:.3f}]"
UNDEFINED = "undefined"

# Why a verdict (scruple.statistics.emergence)
VERDICT = {
    "present throughout": "a correction is shown at every checkpoint",
    "emerges": "none up to {above}, one at each from {at_most} on{between}{untested}",
    "only from above": "one at each from {at_most} on; that there is none below is shown nowhere",
    "non-monotone": "a correction is shown at one place, and at a later one that there is none",
    "every": "every checkpoint: {status}",
    "last": "the last checkpoint {status}",
    "absent": "shown to be less than {delta:g} at every checkpoint{untested}",
    "undecided": "no sequence of tests ends in a verdict: {places}",
}
UNTESTED = " (of these: {places})"
BETWEEN = "; undecided at {places}"
NO_CONTROL = "; its control was not asked, so any other instruction might do the same"
NOT_FINISHED = "; not finished: {checkpoints}"

# Why a shape (scruple.analysis.curves)
CURVE = {
    "simplest": "the same effect at every size",
    "better": "fits better than {simpler}",
    "no break": "a break cannot be told from a straight line with these sizes",
    "no better": "cannot be told from {simpler} with these sizes",
    "not fitted": "not fitted: somewhere the effect is undefined or does not vary at all",
}

# The report's sentences, after the name of a condition (scruple.report.sentences)
SENTENCE = {
    "emerges": "removes bias against {every} at each {thing} from {at_most} on; up to {above} it "
    "is shown not to, against {one}{silent}.",
    "present throughout": "removes bias against {every} at every {thing} of the study.",
    "absent": "is shown to remove less than the margin, against {one}, at every {thing}{silent}.",
    "nothing to correct": "has nothing to correct: without it the answers are at parity.",
    "non-monotone": "removes bias somewhere, and at a later {thing} it is shown not to.",
    "worsens": "adds bias at the last {thing}.",
    "overcorrects": "turns the bias round at the last {thing}.",
    "collapses": "costs the last {thing} its ability to answer: no bias, since no answer.",
    "unreadable": "cannot be judged: no {thing} reads the questions well enough for its bias to "
    "mean anything.",
    "undecided": "has no verdict{ends}.",
}
UNDECIDED_ABOVE = "it is shown not to remove bias up to {above}"
UNDECIDED_AT_MOST = "it removes bias from {at_most} on"
LEFT_OUT = "Not finished, so left out: {checkpoints}."
AND = " and "
OR = " or "
SIZE = "{size} parameters"
STEP = "step {step:g}"
INTERVAL = "({above}, {at_most}]"
FROM = "from {at_most} on"
ALONG_SIZE = "along size"
ALONG = {
    "stage": "along stages at {size} parameters",
    "step": "along steps at {size} parameters",
}

# What did not finish (scruple.study.unfinished, scruple.workflow.unfinished)
FAMILY_NOT_FINISHED = "not finished: {checkpoints}"
NO_RESPONSES_YET = (
    "No responses yet: {places}{more}. To make figures and report of what is finished:\n  {command}"
)
AND_MORE = " and {number} more"

# Figures: titles and captions, by their names (scruple.figures.catalogue)
FIGURES = {
    "scaling": Captioned(
        "Bias against size",
        "Each benchmark's measure of bias, and the correlation that the original study reports of "
        "Winogender, against the number of parameters, one colour per condition, with clustered "
        "95 % intervals. The dashed line is parity: no bias in either "
        "direction. Figure 1 of the original study.",
    ),
    "emergence": Captioned(
        "Where correction emerges",
        "Per family, benchmark and condition the sizes up to which a correction is shown to be "
        "absent (dotted) and from which on it is shown (thick); it emerges between the two. The "
        "verdict stands beside it.",
    ),
    "effects": Captioned(
        "What each condition removes",
        "Bias under Q minus bias under the condition at every checkpoint, with 95 % intervals. The "
        "band is the margin that was declared; filled marks are shown to be effects, against the "
        "matched control and without loss of capability.",
    ),
    "training": Captioned(
        "Bias against steps and stages",
        "The same measures along the training of single sizes. Figure 2 of the original study.",
    ),
    "grid": Captioned(
        "Size and training together",
        "The bias that an instruction removes, over size and training step or stage; of several "
        "training runs their mean. Figure 5 of the original study.",
    ),
    "categories": Captioned(
        "BBQ: bias per dimension",
        "The bias in ambiguous contexts per social dimension, all of them first. Figure 3 of the "
        "original study.",
    ),
    "pronouns": Captioned(
        "Winogender: pronouns per occupation",
        "At each family's largest checkpoint: above, the probability of neutral, female and male "
        "pronouns in each occupation, under the condition that the title names; below, p(female) "
        "against the real share of women, under Q and, where it was asked, Q+Match; the diagonal "
        "is the real share. Figure 4 of the original study.",
    ),
    "profiles": Captioned(
        "Admissions: by LSAT score",
        "At each family's largest checkpoint: p(yes) of the same profiles as Black and as white "
        "applicants, by LSAT score. A checkpoint that reads the record has rising curves.",
    ),
    "accuracy": Captioned(
        "BBQ: accuracy",
        "The share of right answers where the text does not tell (ambiguous: the right answer "
        "names nobody) and where it does (disambiguated). The dashed line is chance. Figures "
        "6 and 7 of the original study.",
    ),
    "disambiguated": Captioned(
        "BBQ: bias where the text tells",
        "The bias in disambiguated contexts. Figure 8 of the original study.",
    ),
    "tradeoff": Captioned(
        "Capability against bias",
        "The change of capability against the bias removed, a point per checkpoint and condition. "
        "In the shaded part the estimated loss is beyond what is allowed; whether it is shown to "
        "be, and so counts as a collapse, is in the table of effects.",
    ),
    "measures": Captioned(
        "Counted and weighted",
        "Each measure of bias by counting the likeliest answers and by weighting all of them with "
        "their probability. A jump that only one of them has is a property of the measure.",
    ),
    "validity": Captioned(
        "Are answers answers?",
        "The probability on valid answers, and the share of the most frequent answer: high where a "
        "checkpoint always answers the same.",
    ),
    "sensitivity": Captioned(
        "Wordings, scorings, orders",
        "The range of each effect over all wordings, scorings and option orders that were asked; "
        "the mark is the primary way.",
    ),
    "cost": Captioned(
        "What it costs",
        "Tokens read and sampled per answer beyond those of Q, against the bias removed.",
    ),
}

# Figures: what stands in several of them (scruple.figures.lines, scruple.report.charts)
PARAMETERS = "parameters"
BIAS_REMOVED = "bias removed (effect)"
PARITY = "parity"
NOT_MEASURED = "not measured"
BARS = "bars: 95 % intervals over items"
PUBLISHED = (
    "◁ a model of 175B, read from the text of the original study (Ganguli et al. 2023), not "
    "measured here"
)

# Figures: along size, steps and stages (scruple.figures.scaling)
ACCURACY_IN = {
    "ambiguous": "accuracy in\nambiguous contexts",
    "disambiguated": "accuracy in\ndisambiguated contexts",
}
BIAS_DISAMBIGUATED = "bias in\ndisambiguated contexts"
ALL_CATEGORIES = "all ({subset})"
VALID_MASS = "probability\non valid answers"
POSITION_BIAS = "most\nfrequent answer"
STEPS_OR_STAGES = "steps or stages, in order"
TRAINING_OF = {"stage": "{size}, stages", "step": "{size}, steps"}

# Figures: forests (scruple.figures.forests)
EFFECTS_REMARK = "against Q; bars: 95 % intervals; shaded: within the margin; filled: shown"
SENSITIVITY_REMARK = (
    "bars: lowest to highest over up to {ways} ways of asking; points: the primary one"
)
EMERGENCE_REMARK = (
    "dotted: shown not to be there (against one of its references); thick: shown at each size"
)

# Figures: what a correction loses and costs (scruple.figures.tradeoff)
CAPABILITY_CHANGE = "change of\n{metric}"
WEIGHTED = "\n(weighted)"
TOKENS_BEYOND_Q = "tokens per answer\nmore than Q"
SCATTER_REMARK = "a point per checkpoint, larger ones for larger checkpoints"
SCATTER_SHADED = "; shaded: the estimated loss is beyond what is allowed"
GRID_REMARK = (
    "bias removed (effect against Q), one scale of colours per benchmark; empty: no such checkpoint"
)

# Figures: inside two benchmarks (scruple.figures.details)
OCCUPATIONS = "occupations, by neutral mass"
PRONOUNS = {"neutral": "neutral", "female": "female", "male": "male"}
PROBABILITY = "probability"
P_FEMALE = "p(female)"
SHARE_OF_WOMEN = "real share of women"
LSAT = "LSAT"
P_YES = "p(yes)"
APPLICANTS = {"black": "Black", "white": "white"}

# The report's charts (scruple.report.charts)
CHART_OF_EFFECT = "{benchmark}: bias removed, against Q"
CHART_DESCRIPTION = (
    "{title}, against the number of parameters; the tables below have the same numbers."
)
CHART_MARK = (
    "{checkpoint}, {params:,} parameters, {condition}: {value:.3f} from {low:.3f} to {high:.3f}"
)

# The report's tables, and the first lines of its provenance (scruple.report.write)
TABLES = {
    "emergence": Captioned(
        "Emergence", "Where along its axis each correction emerges, with the reason."
    ),
    "effects": Captioned(
        "Effects", "What each condition removes at each checkpoint, against each reference."
    ),
    "abilities": Captioned(
        "Two abilities",
        "Does correction come before, with or after the following of plain instructions?",
    ),
    "curves": Captioned(
        "Shapes", "Shapes of effect along size, and which of them these sizes cannot tell apart."
    ),
    "sensitivity": Captioned(
        "Sensitivity", "The spread of effects over wordings, scorings and option orders."
    ),
    "power": Captioned(
        "The next study",
        "How many clusters and items show an effect, or that there is none, with 80 % power.",
    ),
    "bias": Captioned(
        "Bias", "The primary measure of bias of every checkpoint and condition, with intervals."
    ),
}
FACTS = {
    "written": "written",
    "config": "config (SHA-256)",
    "checkpoints": "checkpoints",
    "quantised": "quantised weights (GGUF)",
    "read": "tokens read",
    "sampled": "tokens sampled",
    "seconds": "time of the responses",
}
SECONDS = "{seconds:,.0f} s"
QUANTISED = "{family}/{checkpoint}: {quantisation}"

PROMPTS_OF = "{checkpoint} ({family}), {benchmark}"
TURNS = {
    "chat": "Turns are written with the checkpoint's chat template ({template}).",
    "dialogue": "Turns are written as plain dialogue.",
    "closed": "The template would open a thought; it is closed ({switches}).",
    "dated": "The template writes the date; it is given {date}.",
    "ends": "A reasoning ends at the end token or at one of {marks}.",
}
"""How turns are written for a checkpoint; see `Renderer.facts`."""

# The report's page, from top to bottom (report.html.j2 of scruple.report). A line break is one of
# the page's source.
PAGE = {
    "language": "en",
    "title": "{study}: does self-correction emerge?",
    "skip": "Skip to the verdicts",
    "question": "Do these checkpoints give less biased answers when they are asked to, and from "
    "where on?",
    "asked": "{checkpoints} of {families},\n{responses:,} responses.",
    "checkpoint": "{number} checkpoint",
    "checkpoints": "{number} checkpoints",
    "family": "{number} family",
    "families": "{number} families",
    "not_finished": "Not finished, so left out of everything below:",
    "for_the_others": "Verdicts hold for the others.",
    "declared": "Margins, primary\nmeasures and controls:",
    "contents": "Contents",
    "verdicts": "Verdicts",
    "charts": "Charts",
    "figures": "Figures",
    "tables": "Tables",
    "responses": "Responses",
    "provenance": "Provenance",
    "prompts": "Prompts",
    # verdicts
    "number_of_verdicts": "{number} verdicts were made of the primary measures, each with an error "
    "of at most 2.5 % for either end;\n{others} more, of other wordings, scorings and measures, "
    "are in results/{study}/emergence.csv.",
    "of_recipes": "A verdict\nholds for the recipe where several training runs were read ({runs} "
    "at most), else for\nthese checkpoints alone.",
    "of_checkpoints": "A verdict\nholds for these checkpoints, not for others of the same recipe.",
    "overview": "Along size: the verdict, and the interval (above, at most] of parameters in which "
    "a correction emerges.",
    "column_family": "family",
    "column_benchmark": "benchmark",
    "control": "(asks for nothing)",
    "why": "why",
    "no_verdict": "No verdict: a verdict needs margins in the config, a condition that asks for "
    "less bias, and several\nsizes, stages or steps of a family.",
    "at_checkpoints": "At single checkpoints",
    "statuses": "What was said of the primary measures, checkpoint by checkpoint:",
    # charts
    "charts_need": "Charts need JavaScript; the figures and tables below do not.",
    "point": "Point at a mark for its numbers. Of each size the last training step is shown; bars "
    "are 95 % intervals over\nitems.",
    "controls": "What the charts show",
    "choose_family": "family",
    "choose_conditions": "conditions",
    # figures
    "files": "Files: figures/{study}/{figure}.pdf, .svg, .png",
    # tables
    "all_tables": "Of the primary measures; everything is in results/{study}/*.csv.",
    "table": "{title} ({rows} rows)",
    # complete prompts
    "complete": "Prompts as they were read",
    "about_prompts": "One complete prompt per condition, of the first item, for the largest "
    "checkpoint of each family and stage;\nthose of every checkpoint are in "
    "results/{study}/responses/, in the .json file beside its responses.",
    "reasoned": "The reasoning is sampled as its continuation. Then the answer is read:",
    "candidates": "scored as its continuation:",
    "number_of_tokens": "{number} tokens",
    # single responses
    "single": "Single responses",
    "shown": "{shown:,} of {all:,} responses.",
    "shown_part": "{shown:,} of {all:,} responses: a random part of the items, the same at every "
    "checkpoint.",
    "endorsed": "Texts are shown as the model and the benchmark wrote them; items state "
    "stereotypes because measuring them\nrequires it, and nobody here endorses them.",
    "filters": "Which responses are listed",
    "list": "Responses; the button of a row shows its prompt, probabilities and reasoning.",
    "detail": "The chosen response; Escape leads back to the list",
    "choose": "Choose a\nresponse.",
    "list_needs": "Charts and the list of responses need JavaScript; verdicts, figures and tables "
    "do not.",
    # provenance
    "record": "The whole record",
}

# The report's script, which makes the list of responses (report.js of scruple.report). Slots have
# a name and nothing else; those of `table` are DataTables' own.
PAGE_SCRIPT = {
    "filters": {
        "benchmark": "benchmark",
        "family": "family",
        "checkpoint": "checkpoint",
        "condition": "condition",
        "scoring": "scoring",
        "wording": "wording",
        "role": "answer",
    },
    "all": "all",
    "columns": {
        "show": "show",
        "item": "item",
        "benchmark": "benchmark",
        "family": "family",
        "checkpoint": "checkpoint",
        "condition": "condition",
        "answer": "answer",
        "role": "means",
        "p": "p(answer)",
    },
    "table": {"search": "item:", "info": "_START_ to _END_ of _TOTAL_", "infoFiltered": ""},
    "matching": "{number} responses match",
    "show": "show",
    "show_which": "show {response} order {order} sample {sample}",
    "place": "{place}; order {order}, sample {sample}",
    "human": "human",
    "given": "assistant, given",
    "sampled": "assistant, sampled",
    "right": "{option} (right)",
    "answer": "answer: {answer} ({role}); probability on valid answers {valid}; {tokens} tokens",
    "unknown": "unknown",
}

# The plan (scruple.costs.report)
PLAN = "Plan of {study} on {card}; docs/plan.md says from what:"
PLAN_BENCHMARK = (
    "{benchmark}: {items:,} items, {prompts:,} prompts, read as {rows:,} texts of {length:.0f} "
    "tokens ({known})"
)
PLAN_KNOWN = {
    "counted": "counted with the checkpoint's own tokenizer",
    "read": "items read, tokens estimated: no tokenizer is here",
    "estimated": "estimated: items are not here yet",
}
PLAN_TOTALS = "The whole study, one job after the other:"
PLAN_CARD = "  {card:<10} {time:>10}, {gpus} at once"
PLAN_WITHOUT = (
    "  Without {checkpoints}: give their `shape` in the family's file, and their time can be "
    "worked out."
)
PLAN_LARGE = "More than one {card} each: {checkpoints}."
PLAN_HERE = "Here: {whose} {memory:.0f} GB of memory; weights are in {dtype}."
PLAN_NO_GPU = (
    "  The times above are not this machine's: by bandwidth and rate, two CPU cores take some 60 "
    "(sampling) to 1,700 (reading) times as long as an A100."
)
PLAN_FITS = "  All checkpoints fit."
PLAN_FITS_NOT = "  Does not fit: {checkpoints}."
PLAN_REMEDY = "  To run here, {remedy}; else run where the GPUs are."
PLAN_DISK = (
    "Disk: about {missing:.0f} GB of weights are to be downloaded into the hub's cache ({folder}); "
    "{free:.0f} GB are free."
)
PLAN_DISK_FULL = "  Does not fit: set HF_HOME to a folder on a larger disk, or `max_params`."

# The line before a run, and times (scruple.costs.needs)
TO_MAKE = (
    "{warning}Plan: {tables} response tables are to be made, {time} {where}{without}; the target "
    "`plan` tells how that is worked out."
)
NO_GPU_SEEN = "WARNING: no GPU is seen here. "
TIME_ABOUT = "about {time}"
TIME_UNKNOWN = "an unknown time"
ON_PROCESSOR = "on {card}"
ON_CARD = "on one {card} after another"
WITHOUT_SHAPE = " (without {number} whose shape is unknown)"
NOT_KNOWN = "?"
MINUTES = "{minutes:.1f} min"
HOURS = "{hours:.1f} h"
DAYS = "{days:.1f} days"
