"""Experiments: one script for each verb of the command line."""
