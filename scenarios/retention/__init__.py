"""Retention-v0: contacts with customers who may leave. Begin with ``scenario.py``, which declares it."""
