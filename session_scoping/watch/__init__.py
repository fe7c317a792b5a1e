"""What an app does with its sessions is watched, and written into a recording."""
