"""The card of a twin model: JSON, page and picture. Begin with ``model_card.py``, for tables ``recorded_card.py``."""
