"""Flask-Admin itself: with each handle, in each environment, before and after."""
