"""The parts of `tools/train_default.py`: photos, network, teacher, written files."""
