"""The exception whose message is written for the user."""


class ScrupleError(Exception):
    """An error that the user can fix; the message says where and what it is, and what to do."""


def one_line(error: Exception) -> str:
    """Return the message of another library's error in one line without a final period."""
    return (" ".join(str(error).split()) or type(error).__name__).removesuffix(".")
