"""The one exception that a user is meant to read."""


class ScrupleError(Exception):
    """Something the user can mend; the message says where it is, what is wrong and what to do."""
