"""Tumour growth under chemotherapy and radiotherapy: the published benchmark of counterfactual forecasts."""
