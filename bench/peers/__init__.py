"""The same network in other engines: who (engines), how (measure), what came out (report)."""
