"""What several programs take as an argument."""

import argparse


def number(text: str) -> int:
    """Return a number from 1 upwards: with 0, nothing would run, and nothing fail."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 upwards")
    return int(text)
