"""The models' processes: Ray restricted to this machine, what runs in each, and what is let in."""
