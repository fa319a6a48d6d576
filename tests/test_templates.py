"""Each cell of templates × tokenizers × conditions: refused with its reason, or the very tokens of a
rendering by hand."""

import itertools

import pytest
from cells import CASES, CHATML, OPENS, TOKENIZERS, tokenizer_of, tokens_by_hand
from conftest import ROOT
from independent import prompt_of, read_prompts
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from scruple.benchmarks import benchmark_module
from scruple.engines import GenerateRequest, ScoreRequest
from scruple.engines.continuation import Continuations
from scruple.engines.tokens import encode, tokenise
from scruple.errors import ScrupleError
from scruple.fetch.sources import files_of, local_path
from scruple.prompts import guard
from scruple.prompts.files import Turns, load_dialogue
from scruple.prompts.marks import Marks, turn_marks, without_thoughts
from scruple.prompts.rendering import Renderer
from scruple.responses.trials import build_trials
from scruple.study.families import Writing
from scruple.study.model import load_study

CONDITIONS = ["q", "q+if", "q+if+cot", "q+match", "q+placebo", "q+cot", "q+follow"]
STUDY = load_study({
    "study": "cells", "conditions": CONDITIONS, "decoding": {"max_new_tokens": 8},
    "families": [{"name": "f", "checkpoints": [{"name": "c", "params": 1, "path": "x"}]}],
    "benchmarks": [{"name": name, "source": "own"} for name in ("bbq", "winogender", "admissions")],
})  # fmt: skip
WRITING = Writing("chat", None, STUDY.date)
REASONING = " First I look;\nthen I say “no” — twice."


def asked():
    """Every prompt of the first item of each benchmark, as texts by hand and as turns."""
    for entry in STUDY.benchmarks:
        module = benchmark_module(entry.kind)
        files = [local_path(STUDY, entry, file) for file in files_of(STUDY, entry)]
        items = module.read(files, entry).table.head(1)
        item, file = items.to_dict("records")[0], read_prompts(ROOT, entry.kind)
        for trial in build_trials(STUDY, entry, items):
            _, condition, wording, scoring, order, _ = trial.keys
            human, opening, final, lead, forms, _ = prompt_of(
                entry.kind, item, condition, wording, scoring, order, file
            )
            yield trial, (human, opening, final, lead, forms)


ASKED = list(asked())
DIALOGUE = load_dialogue(STUDY, STUDY.benchmarks[0])


def test_all_conditions_are_in_the_matrix():
    assert {trial.keys[1] for trial, _ in ASKED} == set(CONDITIONS)
    assert len(ASKED) > 20


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("name", CASES)
def test_each_cell_is_refused_or_right(name, kind):
    case = CASES[name]
    tokenizer = tokenizer_of(kind, case.template)
    writing = WRITING._replace(template=case.name)
    if case.refused:
        with pytest.raises(ScrupleError) as caught:
            Renderer(writing, DIALOGUE, tokenizer, "c")
        assert case.refused in str(caught.value)
        assert str(caught.value).startswith("checkpoint c: its chat template ")
        assert "`format: dialogue`" in str(caught.value)
        return
    renderer = Renderer(writing, DIALOGUE, tokenizer, "c")
    assert renderer.format == "chat"
    assert renderer.marks.ends == case.ends
    facts = renderer.facts()
    assert {key: facts[key] for key in case.facts} == case.facts
    compare(renderer, tokenizer, kind, case.written)
    renderer.check([trial.turns for trial, _ in ASKED])


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_dialogue_with_each_tokenizer(kind):
    def written(texts):
        names = itertools.cycle(("Human: ", "Assistant: "))
        turns = [name + text for name, text in zip(names, texts, strict=False)]
        return "\n\n".join([*turns, "Assistant: "])

    tokenizer = tokenizer_of(kind)
    compare(
        Renderer(WRITING._replace(format="auto"), DIALOGUE, tokenizer, "c"),
        tokenizer,
        kind,
        written,
    )


def compare(renderer, tokenizer, kind, written):
    """Compare prompts, and their tokens with each candidate, with those by hand."""
    for trial, (human, opening, final, lead, forms) in ASKED:
        wanted = written([human]) + lead
        reasoning = ""
        if opening is not None:
            reasoning = REASONING
            start = renderer.reasoning_prompt(trial.turns)
            assert start == written([human]) + opening
            got = tokenise(tokenizer, [start], renderer.special)[0]
            assert list(got) == tokens_by_hand(kind, start, renderer.special)
            wanted = written([human, opening + REASONING, final]) + lead
        prompt = renderer.scored_prompt(trial.turns, reasoning)
        assert prompt == wanted
        pairs = [(answer, form) for answer, each in forms.items() for form in each]
        request = ScoreRequest(
            "r", prompt, tuple(form for _, form in pairs), tuple(answer for answer, _ in pairs),
            renderer.special,
        )  # fmt: skip
        encoded = encode(tokenizer, [request])[0]
        for form, candidate in zip(request.candidates, encoded.candidates, strict=True):
            whole = tokens_by_hand(kind, prompt + form, renderer.special)
            assert [*encoded.context, *candidate] == whole


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize(
    "text",
    [" First I look.", "First", "  two blanks", "\n\nA new line", " naïve — “quoted”", " 日本語です",
     " emoji 🙂 here", ". And so on", " a b c d e f g h i j k l m n o p"],
)  # fmt: skip
@pytest.mark.parametrize(
    "prompt", ["Human: go\n\nAssistant: Let me think:", "x é 日:", "ends in a blank: "]
)
def test_a_prompt_and_its_continuation_are_one_text(kind, text, prompt):
    tokenizer = tokenizer_of(kind)
    start = tokenise(tokenizer, [prompt], True)[0]
    whole = tokens_by_hand(kind, prompt + text, True)
    if tuple(whole[: len(start)]) != start:
        pytest.skip("the first token of this text joins the last one of the prompt")
    texts = Continuations(tokenizer, [tokenizer.eos_token_id])
    request = GenerateRequest("g", prompt, 0, True, Marks())
    got = texts.finish(request, start, whole[len(start) :])
    assert (got.text, got.tokens, got.ended) == (text, len(whole) - len(start), "length")
    got = texts.finish(request, start, [*whole[len(start) :], tokenizer.eos_token_id])
    assert (got.text, got.tokens, got.ended) == (text, len(whole) - len(start), "end")


@pytest.mark.parametrize("prompt", ["a b c", "a b c "])
def test_a_decoder_that_writes_blanks_between_words(prompt):
    """As that of the control family: its prompts may end with a blank, which it does not show."""
    backend = Tokenizer(models.WordLevel({"<unk>": 0, "a": 1, "b": 2, "c": 3}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>")
    request = GenerateRequest("g", prompt, 0, True, Marks())
    text = Continuations(tokenizer, []).finish(request, [1, 2, 3], [2, 1]).text
    assert prompt + text == "a b c b a"


def test_where_a_turn_ends():
    """By a mark that is one token, by one that is spelled out, by a line; whichever comes first."""
    tokenizer = tokenizer_of("byte level", CHATML + OPENS)
    texts = Continuations(tokenizer, [tokenizer.eos_token_id])
    chat = Marks(("<|im_end|>",), ("<|im_start|>",))
    spelled = Marks(("<end_of_turn>",), ("<start_of_turn>", "\nHuman:"))
    start = tokenise(tokenizer, ["go:"], True)[0]

    def finish(text, marks):
        request = GenerateRequest("g", "go:", 0, True, marks)
        return texts.finish(request, start, tokens_by_hand("byte level", text, False))

    assert finish(" yes<|im_end|>", chat).ended == "end"
    assert finish(" yes<|im_start|>", chat).ended == "turn"
    assert finish(" yes, Human: no", spelled).text == " yes, Human: no"
    # a mark that is a token can be spelled out, and other special tokens stay
    spell = [tokens_by_hand("byte level", one, False)[0] for one in "</s>"]
    request = GenerateRequest("g", "go:", 0, True, chat)
    found = texts.finish(request, start, [*tokens_by_hand("byte level", " no", False), *spell])
    assert (found.text, found.ended) == (" no", "end")
    assert finish(" a<think>b</think>c<s>d", chat).text == " a<think>b</think>c<s>d"
    for text, ended in ((" yes<end_of_turn>", "end"), (" yes\n\nHuman:", "turn"),
                        (" yes<start_of_turn>", "turn"), (" yes\nHuman: <end_of_turn>", "turn")):  # fmt: skip
        found = finish(text, spelled)
        assert (found.text, found.ended) == (" yes", ended)
    assert set(texts.ending(chat).tokens.values()) == {"end", "turn"}
    assert texts.ending(chat).texts == {"<|im_start|>": "turn", "<|im_end|>": "end", "</s>": "end"}
    assert texts.ending(spelled).longest > len("<start_of_turn>")


@pytest.mark.parametrize(
    ("opening", "between", "tail", "ends", "starts"),
    [
        ("<|eot|><|start|>assistant<|end_header|>\n\n", "<|eot|><|start|>user<|end_header|>\n\n",
         "<|eot|>", ("<|eot|>",), ("<|start|>", "<|end_header|>")),
        (" ASSISTANT: ", "</s>USER: ", "</s>", ("</s>",),
         ("\nUSER:", " ASSISTANT:", "\nASSISTANT:")),
        (" ASSISTANT: ", " USER: ", "", (), (" USER:", "\nUSER:", " ASSISTANT:", "\nASSISTANT:")),
        ("\nアシスタント：", "\nユーザー：", "\n", (), ("\nユーザー：", "\nアシスタント：")),
        ("\nassistant\n", "\nuser\n", "\n", (), ("\nuser\n", "\nassistant\n")),
        ("\n\n### Response:\n", "\n\n### Instruction:\n", "\n\n", (),
         ("\n### Instruction:", "\n### Response:")),
        ("<|assistant|>\n<think></think>\n", "<|user|>\n", "", (), ("<|user|>", "<|assistant|>")),
        (" EOT answers ", " EOT asks ", " EOT", ("EOT",), ()),
    ],
)  # fmt: skip
def test_marks_of_a_turn(opening, between, tail, ends, starts):
    assert turn_marks(opening, between, tail, ["EOT"]) == Marks(ends, starts)


@pytest.mark.parametrize(
    ("text", "left", "opened"),
    [
        ("<|im_start|>assistant\n<think>\n", "<|im_start|>assistant\n", "<think>"),
        ("<|a|><think>\n\n</think>\nx", "<|a|>\nx", ""),
        ("<|START_THINKING|> no <|END_THINKING|>", "", ""),
        ("x<|inner_prefix|>", "x", "<|inner_prefix|>"),
        ("[THINK]", "", "[THINK]"),
        ("◁think▷", "", "◁think▷"),
        ("<｜Assistant｜></think>", "<｜Assistant｜>", ""),
        ("<seed:think>a</seed:think></s>", "</s>", ""),
        ("<answer>b</answer>", "<answer>b</answer>", ""),
    ],
)
def test_texts_without_their_thoughts(text, left, opened):
    assert without_thoughts(text) == (left, opened)


def test_a_template_that_treats_some_texts_in_its_own_way():
    template = CHATML.replace("m.content", "m.content.split('</think>')[-1]") + OPENS
    renderer = Renderer(WRITING, DIALOGUE, tokenizer_of("byte level", template), "c")
    plain = Turns("How many?", None, "", "It is")
    renderer.check([plain])
    with pytest.raises(
        ScrupleError, match=r"treats this prompt unlike others: 'Is </think> a tag\?'"
    ):
        renderer.check([plain, Turns("Is </think> a tag?", None, "", "It is")])
    # what a model writes is kept whole all the same
    turns = Turns("How?", "Let me think:", "So?", "It is")
    assert "Let me think: a</think>b<|im_end|>" in renderer.scored_prompt(turns, " a</think>b")


def test_templates_that_never_end_or_fill_the_memory(monkeypatch):
    monkeypatch.setattr(guard, "SECONDS", 0.5)
    slow = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
    for template, why in (
        (slow, "did not end within 0.5 seconds"),
        ("{{ 'x' * 9000000000 }}", "memory"),
    ):
        with pytest.raises(ScrupleError, match=why):
            Renderer(WRITING, DIALOGUE, tokenizer_of("byte level", template), "c")


def test_edges_of_texts_are_cut_as_the_template_does():
    template = CHATML.replace("{{ m.content }}", "{{ m.content | trim }}") + OPENS
    turns = Turns(" How?\n", "Let me think:", "So?\n", "It is")
    for source, human in ((template, "How?"), (CHATML + OPENS, " How?\n")):
        renderer = Renderer(WRITING, DIALOGUE, tokenizer_of("byte level", source), "c")
        renderer.check([turns])
        assert renderer.scored_prompt(turns).startswith(f"<|im_start|>user\n{human}<|im_end|>")
