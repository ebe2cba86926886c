"""Warfarin-v0: daily doses by genotype and INR. Begin with ``scenario.py``, which declares it."""
