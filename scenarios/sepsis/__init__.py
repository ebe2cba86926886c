"""Sepsis-v0: antibiotics, vasopressors and ventilation. Begin with ``scenario.py``, which declares it."""
