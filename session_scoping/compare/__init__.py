"""Flask-Admin itself, on each handle, in each environment, before and after."""
