"""The figures against the peers: ratios, interleaved in one Chromium. Run `python -m bench`."""
