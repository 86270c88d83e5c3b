"""The one exception that a user is meant to read."""


class UserError(Exception):
    """Something in the user's hands is wrong: a configuration, a data file, a checkpoint.

    The message names the file, row or key and the remedy; the command line prints it without a
    traceback.
    """
