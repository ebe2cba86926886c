"""The card of a twin model: JSON, page and picture. Begin with ``model_card.py``, or ``recorded_card.py`` for tables."""
