"""The browser side, as package data: see site.py (a folder) and single_file.py (one HTML)."""
