"""The seven rules: which of them a recording breaks, and why."""
