"""Glucose-v0: insulin for people with type 1 diabetes. Begin with ``scenario.py``, which declares it."""
