"""The exception whose message is written for the user."""


class ScrupleError(Exception):
    """An error that the user can fix; the message says where and what it is, and what to do."""
