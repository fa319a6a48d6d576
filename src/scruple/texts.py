"""What verdicts, figures, report and run say, every text in one place.

So it can be reworded or translated without touching what decides it. Slots in braces are filled
with `str.format`. Messages of errors stand where they are raised, beside the check that they
explain.
"""

from __future__ import annotations

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
