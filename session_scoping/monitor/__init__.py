"""The monitor: names the line of a session that strays, while the app serves."""
