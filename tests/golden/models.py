"""The networks of Farandole's zoo as plain PyTorch modules: the numerics contract's other side.

The C models carry exactly these parameter names, shapes and meaning; PARAMETERS.md lists every one of them
(`python3 models.py --parameters > PARAMETERS.md`), and `python3 models.py` checks the counts. Order: modules are
registered in the order in which the forward pass first uses them (torchvision's own order in the ResNets: a block's
downsample last), so the index t of a parameter in named_parameters() is also its place along the graph.
Within a module: weight, then bias. Buffers of batch norm: running_mean, running_var, num_batches_tracked.

Notation: conv[K,C,kh,kw] is a weight of that shape, +b a bias [K]; bn[c] is weight [c] and bias [c]; N is the level's channels.

lenet5        1x28x28 in, 10 classes, 61,706 parameters. All convolutions and linears have a bias.
              conv1[6,1,5,5]+b pad 2, relu, maxpool 2/2; conv2[16,6,5,5]+b, relu, maxpool 2/2; flatten (C,H,W) to 400;
              fc1[120,400]+b, relu; fc2[84,120]+b, relu; fc3[10,84]+b
resnet18      torchvision's names, 11,689,512 parameters. No convolution has a bias. bn eps 1e-5, momentum 0.1.
              conv1[64,3,7,7] stride 2 pad 3, bn1[64], relu, maxpool 3/2 pad 1;
              layer<l>.<i>.{conv1,bn1,relu,conv2,bn2}, + identity or downsample.{0: conv 1x1 with the stride, 1: bn}, relu
              l = 1..4, i = 0,1, channels 64,128,256,512; stride 2 in conv1 of layer2.0, layer3.0, layer4.0;
              global average pool; fc[1000,512]+b
resnet50      v1.5 (the stride sits in the 3x3 conv2), 25,557,032 parameters
              layer<l>.<i>.{conv1 1x1,bn1,relu,conv2 3x3,bn2,relu,conv3 1x1 to 4x,bn3}, + identity or downsample.{0,1}, relu
              blocks 3,4,6,3, widths 64,128,256,512; downsample in every <l>.0; fc[1000,2048]+b
alexnet_bn    3x227x227 in, 60,965,224 parameters. BN has no affine part, eps 1e-4, momentum 0.1 (buffers only)
              conv1[96,3,11,11]+b stride 4, relu, maxpool 3/2, bn2(96); conv2[256,48,5,5]+b pad 2 groups 2, relu, maxpool 3/2, bn3(256);
              conv3[384,256,3,3]+b pad 1, relu, bn4(384); conv4[384,192,3,3]+b pad 1 groups 2, relu, bn5(384);
              conv5[256,192,3,3]+b pad 1 groups 2, relu, maxpool 3/2; flatten (C,H,W) to 9216;
              fc6[4096,9216]+b, relu, dropout p; fc7[4096,4096]+b, relu, dropout p; fc8[1000,4096]+b
uresnet       presets a21 8,510,547 / uresnet 18,382,131 / scc21 18,367,891 / polaris 1,926,403 / stream 42,283 parameters (table UResNet.PRESETS).
              B x 3 x H x W in (three planes); B x 3 planes x 3 classes x H x W logits out. H and W divisible by 2^depth.
              All layers but bottleneck.* are shared by the planes and run once per plane, plane 0 first, so batch norm takes its statistics
              per plane, its running averages move three times a step and num_batches_tracked counts three.
              Unit X = X.conv (+b), X.bn, leaky relu 0.01.   (norm: none has no bn.)   bn eps 1e-5, momentum 0.1.
              Block X, plain:    conv1 KxK "same" +b, bn1, leaky relu
              Block X, residual: conv1+b, bn1, leaky relu, conv2+b, bn2, + input, leaky relu
              level channels N(d) = F*(d+1) (growth add) or F*2^d (growth multiply), d = 0..depth
              stem.{conv[F,1,5,5]+b pad 2, bn}
              down.<d>            d = 0..depth-1; the skip tensor of level d is the input of down.<d>
                .block.<i>        i = 0..blocks-1: 3x3 N(d) -> N(d)
                .downsample       maxpool 2/2, then the unit 1x1 N(d) -> N(d+1)
              bottleneck          the planes concatenated on channels, plane 0 first: 3*N(depth)
                .reduce           unit 1x1 3*N(depth) -> bottleneck;  .block.<i> k_deep x k_deep, i = 0..blocks_deep-1
                .expand           unit 1x1 bottleneck -> 3*N(depth), split into planes again
              up.<d>              d = depth-1..0, registered in this order: the deepest first
                .upsample         bilinear x2 (align_corners false), then the unit 1x1 N(d+1) -> N(d)
                .join             join: sum = add the skip, no parameters; join: concat = concatenate [skip, upsampled] on channels,
                                  then the unit 1x1 2*N(d) -> N(d)
                .block.<i>        3x3 N(d) -> N(d)
              head.block.<i>      i = 0..blocks_final-1: 3x3 F -> F;  head.conv[3,F,1,1]+b
unet, unet3d  two convolutions a level, same padding; norm batch | group (8 groups) | instance (no affine) | none;
              base 64, depth 4, 1 -> 2 channels: 31,030,658 without norm, 31,036,546 with batch norm.
              Convolutions have a bias only with norm: none; upsample and head always have one. N(d) = base*2^d. eps 1e-5, momentum 0.1.
              Pair X = X.conv1 3x3 pad 1, X.norm1, relu, X.conv2 3x3 pad 1, X.norm2, relu
              down.<d>            d = 0..depth-1: the pair (in or N(d-1)) -> N(d); its output is the skip tensor; maxpool 2/2 follows
              bottleneck          the pair N(depth-1) -> N(depth)
              up.<d>              d = depth-1..0, registered in this order: upsample (transposed convolution 2x2 stride 2,
                                  weight [N(d+1), N(d), 2, 2], +b), concatenate [skip, upsampled], the pair 2*N(d) -> N(d)
              head[classes,base,1,1]+b
              unet3d: the same with one more axis, base 16, depth 3: 1,401,282 with group norm.
"""
import sys

import torch
import torch.nn.functional as F
from torch import nn


class LeNet5(nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.fc1(x.flatten(1)))
        return self.fc3(F.relu(self.fc2(x)))


def lenet5(classes=10):
    return LeNet5(classes)


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, c_in, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(c_in, width, stride)

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, c_in, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = _shortcut(c_in, 4 * width, stride)

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


def _shortcut(c_in, c_out, stride):
    if stride == 1 and c_in == c_out:
        return None
    return nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))


class ResNet(nn.Module):
    def __init__(self, block, counts, classes=1000):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        c_in = 64
        for level, count in enumerate(counts):
            width = 64 << level
            blocks = []
            for i in range(count):
                blocks.append(block(c_in, width, 2 if level > 0 and i == 0 else 1))
                c_in = width * block.expansion
            self.add_module("layer%d" % (level + 1), nn.Sequential(*blocks))
        self.fc = nn.Linear(c_in, classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


def resnet18(classes=1000):
    return ResNet(BasicBlock, (2, 2, 2, 2), classes)


def resnet50(classes=1000):
    return ResNet(Bottleneck, (3, 4, 6, 3), classes)


class AlexNetBN(nn.Module):
    def __init__(self, classes=1000, dropout=0.5):
        super().__init__()

        def bn(c):
            return nn.BatchNorm2d(c, eps=1e-4, momentum=0.1, affine=False)

        self.conv1 = nn.Conv2d(3, 96, 11, 4)
        self.bn2 = bn(96)
        self.conv2 = nn.Conv2d(96, 256, 5, 1, 2, groups=2)
        self.bn3 = bn(256)
        self.conv3 = nn.Conv2d(256, 384, 3, 1, 1)
        self.bn4 = bn(384)
        self.conv4 = nn.Conv2d(384, 384, 3, 1, 1, groups=2)
        self.bn5 = bn(384)
        self.conv5 = nn.Conv2d(384, 256, 3, 1, 1, groups=2)
        self.fc6 = nn.Linear(9216, 4096)
        self.fc7 = nn.Linear(4096, 4096)
        self.fc8 = nn.Linear(4096, classes)
        self.dropout = dropout

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 3, 2)
        x = F.max_pool2d(F.relu(self.conv2(self.bn2(x))), 3, 2)
        x = F.relu(self.conv3(self.bn3(x)))
        x = F.relu(self.conv4(self.bn4(x)))
        x = F.max_pool2d(F.relu(self.conv5(self.bn5(x))), 3, 2)
        x = F.dropout(F.relu(self.fc6(x.flatten(1))), self.dropout, self.training)
        x = F.dropout(F.relu(self.fc7(x)), self.dropout, self.training)
        return self.fc8(x)


def alexnet_bn(classes=1000, dropout=0.5):
    return AlexNetBN(classes, dropout)


class Unit(nn.Module):
    """conv -> bn -> leaky relu"""

    def __init__(self, c_in, c_out, k, norm):
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, k, padding=k // 2)
        self.bn = nn.BatchNorm2d(c_out) if norm == "batch" else nn.Identity()

    def forward(self, x):
        return F.leaky_relu(self.bn(self.conv(x)), 0.01)


class Block(nn.Module):
    def __init__(self, c, k, residual, norm):
        super().__init__()
        self.residual = residual
        for i in (1, 2) if residual else (1,):
            self.add_module("conv%d" % i, nn.Conv2d(c, c, k, padding=k // 2))
            self.add_module("bn%d" % i, nn.BatchNorm2d(c) if norm == "batch" else nn.Identity())

    def forward(self, x):
        y = F.leaky_relu(self.bn1(self.conv1(x)), 0.01)
        return F.leaky_relu(self.bn2(self.conv2(y)) + x, 0.01) if self.residual else y


class UResNet(nn.Module):
    PRESETS = {
        "a21": dict(base=8, depth=6, blocks=2, blocks_deep=5, bottleneck=256, k_deep=5, blocks_final=0, residual=False, join="sum"),
        "uresnet": dict(base=16, depth=6, blocks=2, blocks_deep=5, bottleneck=256, k_deep=5, blocks_final=5, residual=True, join="concat"),
        "scc21": dict(base=16, depth=6, blocks=2, blocks_deep=5, bottleneck=256, k_deep=5, blocks_final=5, residual=True, join="concat", norm="none"),
        "polaris": dict(base=16, depth=7, blocks=2, blocks_deep=2, bottleneck=96, k_deep=5, blocks_final=2, residual=False, join="sum"),
        "stream": dict(base=4, depth=6, blocks=1, blocks_deep=1, bottleneck=32, k_deep=3, blocks_final=0, residual=False, join="sum", planes=1),
    }

    def __init__(self, base, depth, blocks, blocks_deep, bottleneck, k_deep, blocks_final, residual, join, growth="add", norm="batch",
                 planes=3, classes=3):
        super().__init__()
        channels = [base * (d + 1) if growth == "add" else base << d for d in range(depth + 1)]
        self.planes, self.concat = planes, join == "concat"

        def stack(c, k, count):
            return nn.Sequential(*(Block(c, k, residual, norm) for _ in range(count)))

        self.stem = Unit(1, base, 5, norm)
        self.down = nn.ModuleDict()
        for d in range(depth):
            level = nn.Module()
            level.block = stack(channels[d], 3, blocks)
            level.downsample = Unit(channels[d], channels[d + 1], 1, norm)
            self.down[str(d)] = level
        self.bottleneck = nn.Module()
        self.bottleneck.reduce = Unit(planes * channels[depth], bottleneck, 1, norm)
        self.bottleneck.block = stack(bottleneck, k_deep, blocks_deep)
        self.bottleneck.expand = Unit(bottleneck, planes * channels[depth], 1, norm)
        self.up = nn.ModuleDict()
        for d in reversed(range(depth)):
            level = nn.Module()
            level.upsample = Unit(channels[d + 1], channels[d], 1, norm)
            if self.concat:
                level.join = Unit(2 * channels[d], channels[d], 1, norm)
            level.block = stack(channels[d], 3, blocks)
            self.up[str(d)] = level
        self.head = nn.Module()
        self.head.block = stack(base, 3, blocks_final)
        self.head.conv = nn.Conv2d(base, classes, 1)

    def forward(self, x):
        planes = [self.stem(p) for p in x.split(1, dim=1)]
        skips = []
        for level in self.down.values():
            skips.append(planes)
            planes = [level.downsample(F.max_pool2d(level.block(p), 2)) for p in planes]
        b = self.bottleneck
        planes = b.expand(b.block(b.reduce(torch.cat(planes, dim=1)))).chunk(self.planes, dim=1)
        for level in self.up.values():
            planes = [self._up(level, p, s) for p, s in zip(planes, skips.pop())]
        return torch.stack([self.head.conv(self.head.block(p)) for p in planes], dim=1)

    def _up(self, level, x, skip):
        x = level.upsample(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False))
        x = level.join(torch.cat([skip, x], dim=1)) if self.concat else x + skip
        return level.block(x)


def uresnet(preset):
    return UResNet(**UResNet.PRESETS[preset])


class Pair(nn.Module):
    def __init__(self, dims, c_in, c_out, norm):
        super().__init__()
        for i, c in ((1, c_in), (2, c_out)):
            conv = nn.Conv3d if dims == 3 else nn.Conv2d
            self.add_module("conv%d" % i, conv(c, c_out, 3, padding=1, bias=norm == "none"))
            self.add_module("norm%d" % i, self._norm(dims, c_out, norm))

    @staticmethod
    def _norm(dims, c, norm):
        if norm == "batch":
            return nn.BatchNorm3d(c) if dims == 3 else nn.BatchNorm2d(c)
        if norm == "group":
            return nn.GroupNorm(8, c)
        if norm == "instance":
            return nn.InstanceNorm3d(c) if dims == 3 else nn.InstanceNorm2d(c)
        return nn.Identity()

    def forward(self, x):
        x = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(x)))


class UNet(nn.Module):
    def __init__(self, dims=2, c_in=1, classes=2, base=64, depth=4, norm="batch"):
        super().__init__()
        conv, up = (nn.Conv3d, nn.ConvTranspose3d) if dims == 3 else (nn.Conv2d, nn.ConvTranspose2d)
        self.pool = F.max_pool3d if dims == 3 else F.max_pool2d
        self.down = nn.ModuleDict()
        for d in range(depth):
            self.down[str(d)] = Pair(dims, c_in if d == 0 else base << (d - 1), base << d, norm)
        self.bottleneck = Pair(dims, base << (depth - 1), base << depth, norm)
        self.up = nn.ModuleDict()
        for d in reversed(range(depth)):
            level = nn.Module()
            level.upsample = up(base << (d + 1), base << d, 2, 2)
            pair = Pair(dims, base << (d + 1), base << d, norm)
            for name, child in pair.named_children():
                level.add_module(name, child)
            self.up[str(d)] = level
        self.head = conv(base, classes, 1)

    def forward(self, x):
        skips = []
        for pair in self.down.values():
            x = pair(x)
            skips.append(x)
            x = self.pool(x, 2)
        x = self.bottleneck(x)
        for level in self.up.values():
            x = torch.cat([skips.pop(), level.upsample(x)], dim=1)
            x = Pair.forward(level, x)
        return self.head(x)


def unet(c_in=1, classes=2, base=64, depth=4, norm="batch"):
    return UNet(2, c_in, classes, base, depth, norm)


def unet3d(c_in=1, classes=2, base=16, depth=3, norm="batch"):
    return UNet(3, c_in, classes, base, depth, norm)


def cross_entropy(logits, labels):
    """Mean over samples (and positions) of -log softmax(logits)[label]; classes on axis 1."""
    return F.cross_entropy(logits, labels)


def _focal_terms(logits, labels):
    ce = F.cross_entropy(logits, labels, reduction="none")
    return (1 - torch.exp(-ce)).square().detach(), ce


def focal(logits, labels):
    """CosmicTagger master: sum over planes of sum(w CE) / sum(w), both sums over batch and positions, w = (1 - p_true)^2 without gradient.
    logits [B, planes, classes, H, W], labels [B, planes, H, W]."""
    total = 0
    for p in range(logits.shape[1]):
        w, ce = _focal_terms(logits[:, p], labels[:, p])
        total = total + (w * ce).sum() / w.sum()
    return total


def focal_v21(logits, labels):
    """CosmicTagger v2.1: sum over planes of mean(w CE) / 3, mean over batch and positions; 3 is the number of classes."""
    total = 0
    for p in range(logits.shape[1]):
        w, ce = _focal_terms(logits[:, p], labels[:, p])
        total = total + (w * ce).mean() / logits.shape[2]
    return total


LOSSES = {"cross_entropy": cross_entropy, "focal": focal, "focal_v21": focal_v21}

COUNTED = [  # (title, builder, parameters); counts are published ones except where marked
    ("lenet5", lenet5, 61706),
    ("resnet18", resnet18, 11689512),
    ("resnet50", resnet50, 25557032),
    ("alexnet_bn", alexnet_bn, 60965224),
    ("uresnet preset a21", lambda: uresnet("a21"), 8510547),
    ("uresnet preset uresnet", lambda: uresnet("uresnet"), 18382131),
    ("uresnet preset scc21", lambda: uresnet("scc21"), 18367891),
    ("uresnet preset polaris", lambda: uresnet("polaris"), 1926403),
    ("uresnet preset stream", lambda: uresnet("stream"), 42283),  # counted here
    ("unet norm none", lambda: unet(norm="none"), 31030658),  # counted here
    ("unet norm batch", unet, 31036546),  # counted here; 3 -> 1 channels gives 31,037,633, the count users know
    ("unet3d norm group", lambda: unet3d(norm="group"), 1401282),  # counted here
]


def count(model):
    return sum(p.numel() for p in model.parameters())


def print_parameters():
    print("# Parameters of the reference models\n")
    print("Written by `python3 models.py --parameters`. One module a line, in order: `t name weight[shape] bias[shape]`; t is the index of the line's")
    print("first parameter in `named_parameters()`, its full name is `name.weight`; `stats[c]` are the buffers `running_mean`, `running_var` of a batch")
    print("norm. A transposed convolution's weight is [in, out, k, k]. `scc21` is `uresnet` without the bn lines.")
    for title, build, expected in COUNTED:
        if "scc21" in title:
            continue
        model = build()
        print("\n## %s: %s parameters in %d tensors\n\n```" % (title, format(expected, ","), len(list(model.parameters()))))
        t = 0
        for name, module in model.named_modules():
            own = list(module.named_parameters(recurse=False))
            line = ["%s[%s]" % (n, ",".join(map(str, p.shape))) for n, p in own]
            if getattr(module, "running_mean", None) is not None:
                line.append("stats[%d]" % module.running_mean.numel())
            if line:
                print("%3s %s %s" % (t if own else "-", name, " ".join(line)))
            t += len(own)
        print("```")


if __name__ == "__main__":
    for title, build, expected in COUNTED:
        got = count(build())
        if got != expected:
            sys.exit("%s has %d parameters, expected %d" % (title, got, expected))
        if "--parameters" not in sys.argv:
            print("%-24s %11s" % (title, format(got, ",")))
    if count(unet(c_in=3, classes=1)) != 31037633:
        sys.exit("unet 3 -> 1 has %d parameters" % count(unet(c_in=3, classes=1)))
    if "--parameters" in sys.argv:
        print_parameters()
