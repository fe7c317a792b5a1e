"""The seven rules: what a recording says of them, and why a rule is broken."""
