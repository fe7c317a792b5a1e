"""The seven rules: what a recording says of them, and why one is broken."""
