"""Reader of PyTorch: programs of torch.export, from .pt2 files without torch, or live."""
