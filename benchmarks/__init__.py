"""Benchmarks: measured results and the scripts that make them; run from a checkout, not part of the wheel."""
