"""How far can a twin model be trusted? One measure a file; ``report.py`` takes them and holds them against bars."""
