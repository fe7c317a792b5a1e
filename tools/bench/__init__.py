"""What the guards cost, as ratios of runs that take turns on one machine."""
