"""What can go wrong with a measurement."""


class BenchError(Exception):
    """Something did not happen as it must for a figure to mean anything; the text says what."""
