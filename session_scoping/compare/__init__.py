"""Checks Flask-Admin itself, with each handle, and compares releases."""
