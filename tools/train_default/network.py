"""The MobileNet, and how it is scored."""

import math

import torch
import torch.nn.functional as F
from torch import nn

SIZE = 64  # pixels a side: the data set's own size, and the model's input
STEM = 32
BLOCKS = (  # (channels out, stride) of each depthwise-separable block
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
)


def to_input(pixels):
    """uint8 NHWC to the model's input: float NCHW in [-1, 1]."""
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1


def pad_same(x, kernel, stride):
    """TensorFlow's 'same': the odd pixel of padding goes after, not before."""
    size = x.shape[-1]
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    before = total // 2
    return F.pad(x, (before, total - before, before, total - before)) if total else x


class ConvNorm(nn.Module):
    """Convolution ('same'), batch norm, ReLU6; named as in Keras's MobileNet."""

    def __init__(self, name, inputs, outputs, kernel, stride=1, groups=1):
        super().__init__()
        self.name, self.kernel, self.stride = name, kernel, stride
        symmetric = kernel // 2 if stride == 1 else 0
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, symmetric, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")
        if groups > 1:  # each output sees one channel; fan_out would count them all
            nn.init.normal_(self.conv.weight, std=math.sqrt(2 / kernel**2))

    def forward(self, x):
        if self.stride > 1:
            x = pad_same(x, self.kernel, self.stride)
        return F.relu6(self.norm(self.conv(x)))

    def folded(self):
        """Kernel (OIHW) and bias with the batch norm multiplied in."""
        scale = self.norm.weight / torch.sqrt(self.norm.running_var + self.norm.eps)
        return (
            self.conv.weight * scale.view(-1, 1, 1, 1),
            self.norm.bias - self.norm.running_mean * scale,
        )


class MobileNet(nn.Module):
    def __init__(self, classes):
        super().__init__()
        layers, width = [ConvNorm("conv1", 3, STEM, 3, 2)], STEM
        for i, (outputs, stride) in enumerate(BLOCKS, 1):
            layers.append(ConvNorm(f"conv_dw_{i}", width, width, 3, stride, groups=width))
            layers.append(ConvNorm(f"conv_pw_{i}", width, outputs, 1))
            width = outputs
        self.layers = nn.Sequential(*layers)
        self.predictions = nn.Linear(width, classes)
        nn.init.normal_(self.predictions.weight, std=0.01)

    def forward(self, x):
        return self.predictions(self.layers(x).mean((2, 3)))


@torch.no_grad()
def scores(forward, pixels, batch=250):
    parts = [forward(to_input(pixels[i : i + batch])) for i in range(0, len(pixels), batch)]
    return torch.cat(parts).float()


def top(logits, labels, k):
    return (logits.topk(k, 1).indices == labels[:, None]).any(1).float().mean().item()
