"""Credit-v0: loans that move credit scores. Begin with ``scenario.py``, which declares it."""
