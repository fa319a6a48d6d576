"""An engine with a store: results that the store has are not computed again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from scruple.engines import Engine, Finished, GenerateRequest, Generation, ScoreRequest, Scores
from scruple.engines.tokens import appended
from scruple.responses.store import Store, reasoning_key, score_key
from scruple.study.settings import Decoding


class StoredEngine:
    """Wrap an engine: equal requests are computed once, and results are stored as they finish."""

    def __init__(self, engine: Engine, store: Store) -> None:
        """Wrap an engine with the store for its checkpoint, engine and number format."""
        self.tokenizer = engine.tokenizer
        self._engine = engine
        self._store = store
        end = appended(engine.tokenizer)
        self._appended = () if end == (engine.tokenizer.eos_token_id,) else end

    def describe(self) -> dict[str, Any]:
        """See `scruple.engines.Engine.describe`."""
        return self._engine.describe()

    def score(self, requests: Sequence[ScoreRequest], finished: Finished) -> list[Scores]:
        """See `scruple.engines.Engine.score`."""
        keys = [score_key(request, self._appended) for request in requests]
        return self._complete(keys, self._store.scores, finished, lambda missing, found: (
            self._engine.score([requests[i] for i in missing], found)
        ))  # fmt: skip

    def generate(
        self, requests: Sequence[GenerateRequest], decoding: Decoding, finished: Finished
    ) -> list[Generation]:
        """See `scruple.engines.Engine.generate`."""
        keys = [reasoning_key(request, decoding) for request in requests]
        return self._complete(keys, self._store.reasoning, finished, lambda missing, found: (
            self._engine.generate([requests[i] for i in missing], decoding, found)
        ))  # fmt: skip

    def _complete(
        self,
        keys: Sequence[bytes],
        known: Callable[[Sequence[bytes]], dict[bytes, Any]],
        finished: Finished,
        compute: Callable[[Sequence[int], Finished], Any],
    ) -> list[Any]:
        """Return one result per key, from the store or else computed and stored.

        Args:
            keys: the keys of all requests, in order.
            known: returns the results that the store has.
            finished: called with results as soon as they are known.
            compute: computes the requests at some indices, and reports each result by its place
                among them.
        """
        results = known(keys)
        finished({i: results[key] for i, key in enumerate(keys) if key in results})
        places: dict[bytes, list[int]] = {}
        for i, key in enumerate(keys):
            if key not in results:
                places.setdefault(key, []).append(i)
        missing = [first for first, *_ in places.values()]

        def keep(found: Mapping[int, Any]) -> None:
            new = {keys[missing[k]]: result for k, result in found.items()}
            results.update(new)
            self._store.add(new)
            finished({i: result for key, result in new.items() for i in places[key]})

        if missing:
            try:
                compute(missing, keep)
            finally:
                self._store.flush()
        return [results[key] for key in keys]
