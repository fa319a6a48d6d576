"""Chat templates and tokenizers of the kinds that people have, with renderings written by hand."""

import json
from dataclasses import dataclass, field
from functools import cache

from conftest import ITEMS
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

MARKS = ["<|im_start|>", "<|im_end|>", "[INST]", "[/INST]", "<think>", "</think>"]
SPECIALS = ["<unk>", "<s>", "</s>", "<|endoftext|>", *MARKS]


@cache
def corpus():
    files = [*sorted(ITEMS.rglob("*.jsonl")), *sorted(ITEMS.rglob("*.tsv"))]
    return tuple(path.read_text(encoding="utf-8")[:60_000] for path in files)


@cache
def byte_level():
    """As GPT-2's: every byte has a token, nothing is put around a text."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=900, special_tokens=SPECIALS, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    backend.train_from_iterator(corpus(), trainer)
    return backend


@cache
def sentencepiece():
    """As Llama 2's: ▁ for blanks and before a text, bytes as a last resort, the first blank lost."""
    trained = Tokenizer(models.BPE(unk_token="<unk>"))
    trained.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    fallback = [f"<0x{number:02X}>" for number in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=1200, special_tokens=SPECIALS + fallback, show_progress=False
    )
    trained.train_from_iterator(corpus(), trainer)
    vocabulary = trained.get_vocab()
    merges = [tuple(pair) for pair in json.loads(trained.to_str())["model"]["merges"]]
    backend = Tokenizer(
        models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    )
    backend.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
         decoders.Strip(" ", 1, 0)]
    )  # fmt: skip
    backend.add_special_tokens(SPECIALS)
    backend.post_processor = around(backend, "<s> $A")
    return backend


@cache
def ending():
    """A byte-level tokenizer that puts an end token behind every text (`add_eos_token`)."""
    backend = Tokenizer.from_str(byte_level().to_str())
    backend.post_processor = around(backend, "<s> $A </s>")
    return backend


@cache
def separating():
    """As `ending`, and the token behind a text is not the end token."""
    backend = Tokenizer.from_str(byte_level().to_str())
    backend.post_processor = around(backend, "$A [/INST]")
    return backend


def around(backend, pattern):
    """A post-processor that writes special tokens around a text."""
    names = [name for name in pattern.split() if name != "$A"]
    pairs = [(name, backend.token_to_id(name)) for name in names]
    return processors.TemplateProcessing(single=pattern, special_tokens=pairs)


TOKENIZERS = {
    "byte level": (byte_level, ()),
    "sentencepiece": (sentencepiece, ("<s>",)),
    "ends with eos": (ending, ("<s>",)),
    "ends with another": (separating, ()),
}
"""Name → how it is made, and the tokens that it puts before a text."""


def tokenizer_of(name, template=None):
    make, _ = TOKENIZERS[name]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(make().to_str()),
        bos_token="<s>", eos_token="</s>", unk_token="<unk>",
    )  # fmt: skip
    tokenizer.chat_template = template
    return tokenizer


def tokens_by_hand(name, text, special):
    """The tokens of a prompt, from the library of tokenizers itself."""
    make, before = TOKENIZERS[name]
    backend = make()
    ids = backend.encode(text, add_special_tokens=False).ids
    return [*(backend.token_to_id(token) for token in before if special), *ids]


@dataclass
class Case:
    """A template, and what it must come to.

    `written` renders texts of user, assistant, user, … up to the assistant's next turn; `refused`
    is a part of the message if the template cannot be used.
    """

    template: object
    written: object = None
    refused: str = ""
    ends: tuple = ()
    name: str | None = None
    facts: dict = field(default_factory=dict)


def chatml(texts, before="", opens="<|im_start|>assistant\n"):
    turns = [
        f"<|im_start|>{('user', 'assistant')[k % 2]}\n{text}<|im_end|>\n"
        for k, text in enumerate(texts)
    ]
    return before + "".join(turns) + opens


def mistral(texts):
    turns = [
        f"[INST] {text} [/INST]" if k % 2 == 0 else f"{text}</s>" for k, text in enumerate(texts)
    ]
    return "<s>" + "".join(turns)


def gemma(texts):
    turns = [
        f"<start_of_turn>{('user', 'model')[k % 2]}\n{text.strip()}<end_of_turn>\n"
        for k, text in enumerate(texts)
    ]
    return "<s>" + "".join(turns) + "<start_of_turn>model\n"


def named(texts):
    turns = [f"{('### Human:', '### Assistant:')[k % 2]} {text}\n" for k, text in enumerate(texts)]
    return "".join(turns) + "### Assistant: "


CHATML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
OPENS = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
THINKS = "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] + ' [/INST]' }}"
    "{% else %}{{ m['content'] + eos_token }}{% endif %}{% endfor %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}"
    "{% set role = 'model' if message['role'] == 'assistant' else message['role'] %}"
    "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
PARTS = CHATML.replace(
    "{{ m.content }}",
    "{% for part in m.content %}{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}",
)
NAMED = (
    "{% for m in messages %}{{ '### Human: ' if m.role == 'user' else '### Assistant: ' }}"
    "{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}### Assistant: {% endif %}"
)
DATED = "Today is {{ strftime_now('%d %B %Y') }}.\n"
SWITCH = (
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n"
    "{% else %}<think>\n{% endif %}{% endif %}"
)
LAST = "{% set messages = messages[-1:] %}"
END = ("<|im_end|>",)

CASES = {
    "chatml, another eos": Case(CHATML + OPENS, chatml, ends=END),
    "parts": Case(PARTS + OPENS, chatml, ends=END, facts={"parts": True}),
    "alternating": Case(MISTRAL, mistral, ends=("</s>",)),
    "no system role": Case(GEMMA, gemma, ends=("<end_of_turn>",)),
    "names": Case(NAMED, named),
    "dated": Case(
        DATED + CHATML + OPENS, lambda texts: chatml(texts, "Today is 26 July 2024.\n"),
        ends=END, facts={"date": "2024-07-26"},
    ),
    "think that can be closed": Case(
        CHATML + SWITCH,
        lambda texts: chatml(texts, opens="<|im_start|>assistant\n<think>\n\n</think>\n\n"),
        ends=END, facts={"thought_closed_by": {"enable_thinking": False}},
    ),
    "several, one default": Case({"default": CHATML + OPENS, "rag": NAMED}, chatml, ends=END),
    "several, by name": Case(
        {"rag": CHATML + OPENS, "tool_use": NAMED}, chatml, ends=END, name="rag"
    ),
    "several": Case({"rag": NAMED, "tool_use": NAMED}, refused="none of them is called default"),
    "no such name": Case(CHATML + OPENS, refused="'rag' does not exist; there are: default", name="rag"),
    "no generation prompt": Case(CHATML, refused="does not open the assistant's turn"),
    "think": Case(CHATML + THINKS, refused="with <think> and leaves it open"),
    "effort that is written": Case(
        "Effort: {{ reasoning_effort | default('medium') }}\n" + CHATML + SWITCH,
        lambda texts: chatml(
            texts, "Effort: medium\n", "<|im_start|>assistant\n<think>\n\n</think>\n\n"
        ),
        ends=END, facts={"thought_closed_by": {"enable_thinking": False}},
    ),
    "budget that is written": Case(
        "Think for {{ thinking_budget | default(99) }} tokens.\n" + CHATML
        + SWITCH.replace("enable_thinking", "thinking_budget"),
        lambda texts: chatml(
            texts, "Think for 0 tokens.\n", "<|im_start|>assistant\n<think>\n\n</think>\n\n"
        ),
        ends=END, facts={"thought_closed_by": {"thinking_budget": 0}},
    ),
    "ends the turn that it opens": Case(
        CHATML + OPENS + "{{ eos_token }}", refused="writes '</s>' after it has opened"
    ),
    "answers itself": Case(
        CHATML + OPENS + "<answer>A</answer>", refused="writes '<answer>A</answer>' after it has opened"
    ),
    "surrogates": Case("{{ '\\ud800' }}" + CHATML + OPENS, refused="no text can have"),
    "dated by the day": Case(
        "{{ strftime_now('%d') }} " + CHATML + OPENS, lambda texts: chatml(texts, "26 "),
        ends=END, facts={"date": "2024-07-26"},
    ),
    "drops turns": Case(LAST + CHATML + OPENS, refused="drops or changes the question"),
    "drops reasoning": Case(
        CHATML.replace("{{ m.content }}", "{{ m.content if m.role == 'user' }}") + OPENS,
        refused="drops or changes the reasoning",
    ),
    "changes texts": Case(
        CHATML.replace("m.content", "m.content | replace('isn’t', 'is not')") + OPENS,
        refused="drops or changes the reasoning",
    ),
    "repeats": Case(
        CHATML.replace("{{ m.content }}", "{{ m.content }} {{ m.content }}") + OPENS,
        refused="repeats the question",
    ),
    "raises": Case(
        "{{ raise_exception('A system message must come first') }}",
        refused="A system message must come first",
    ),
    "broken": Case("{% for m in messages %}{{ m.content }", refused="fails: unexpected '}'"),
    "by chance": Case(
        "{{ range(100000) | random }}" + CHATML + OPENS, refused="at another time"
    ),
    "no roles": Case(
        "{% for m in messages %}{{ m.content }}\n{% endfor %}",
        refused="does not mark where the assistant's turn begins",
    ),
    "another opening": Case(
        "{% for m in messages %}<|start|>{{ m.role }}{% if m.role == 'assistant' %}<|channel|>final"
        "{% endif %}<|message|>{{ m.content }}<|end|>{% endfor %}"
        "{% if add_generation_prompt %}<|start|>assistant{% endif %}",
        refused="does not open the assistant's turn",
    ),
    "huge": Case("{{ 'x' * 30000000 }}" + CHATML + OPENS, refused="characters around a few words"),
}  # fmt: skip
