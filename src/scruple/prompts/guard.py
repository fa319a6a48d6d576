"""Run a function that executes foreign code in a process of its own, within limits.

A chat template is a program that comes with a checkpoint. It may never end, or fill the memory.
"""

from __future__ import annotations

import multiprocessing
import resource
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import psutil

SECONDS = 10.0
"""The longest time that a function may take."""
_MEMORY = 2**30
"""The most memory, in bytes, that a function may add to that of the process."""


class Stopped(Exception):
    """The function broke a limit, or raised an error; the text says which."""


def guarded(function: Callable[[], Any], seconds: float | None = None) -> Any:
    """Return a function's result, computed in a forked process.

    Args:
        function: the function; it may use everything that is loaded in this process.
        seconds: the longest time that it may take; by default SECONDS.

    Raises:
        Stopped: if it took too long, needed too much memory, or raised an error.
    """
    seconds = SECONDS if seconds is None else seconds
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(function, sender), daemon=True)
    with warnings.catch_warnings():
        # the child runs Python code only, and none of this process's threads
        warnings.simplefilter("ignore", DeprecationWarning)
        process.start()
    sender.close()
    try:
        if not receiver.poll(seconds):
            raise Stopped(f"it did not end within {seconds:g} seconds")
        try:
            done, result = receiver.recv()
        except EOFError:
            raise Stopped("it was killed, probably because it needed too much memory") from None
    finally:
        process.kill()
        process.join()
        receiver.close()
    if not done:
        raise Stopped(result)
    return result


def _run(function: Callable[[], Any], sender: Connection) -> None:
    limit = psutil.Process().memory_info().vms + _MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        answer = True, function()
    except MemoryError:
        answer = False, f"it needs more than {_MEMORY // 2**30} GB of memory"
    except BaseException as error:  # whatever foreign code raises is reported, never passed on
        answer = False, str(error) or type(error).__name__
    sender.send(answer)
