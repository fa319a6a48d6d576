"""Whether a tokenizer keeps the texts that it is given."""

from __future__ import annotations

import logging
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Any

from scruple.engines import ScoreRequest
from scruple.engines.tokens import tokenise_prompts
from scruple.errors import ScrupleError

log = logging.getLogger(__name__)

_MOST_LOST = 0.02
"""The largest share of a prompt's characters that a tokenizer may lose; more are refused."""


def check_kept(tokenizer: Any, requests: Sequence[ScoreRequest]) -> None:
    """Raise an error if a tokenizer loses a part of a prompt: unknown or dropped characters.

    Tokens are decoded again and compared with the text, without blanks, case and compatibility
    forms (NFKC), which tokenizers may change. Fewer lost characters are a warning in the log.

    Raises:
        ScrupleError: naming the request, the number of lost characters and some of them.
    """
    lost: Counter[str] = Counter()
    for request, ids in zip(requests, tokenise_prompts(tokenizer, requests), strict=True):
        read = tokenizer.decode(
            list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        written = _letters(request.prompt)
        missing = written - _letters(read)
        lost |= missing
        if missing.total() > _MOST_LOST * written.total():
            raise ScrupleError(
                f"{request.key}: the tokenizer loses {missing.total()} of the prompt's "
                f"{written.total()} characters ({_some(missing)}), so the checkpoint would not "
                "read what is asked. It may not know the language: leave it out, or repair its "
                "tokenizer."
            )
    if lost:
        log.warning("the tokenizer does not know some characters of the prompts: %s", _some(lost))


def _letters(text: str) -> Counter[str]:
    plain = unicodedata.normalize("NFKC", text).casefold()
    return Counter("".join(plain.split()).replace("▁", ""))


def _some(characters: Counter[str]) -> str:
    return " ".join(character for character, _ in characters.most_common(8))
