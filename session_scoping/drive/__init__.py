"""An admin is driven as a person would drive it, and failed and overtaken."""
