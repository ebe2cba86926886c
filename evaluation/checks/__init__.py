"""Is somebody's scenario sound? Public checks, each of which explains its failure; begin with ``scenario.py``."""
