"""The experiments of benches/train in PyTorch: the same parameters, the same arithmetic, nothing that is not needed.

Each twin takes the weights that `nanoresearch bench export` wrote, so that both sides begin at the same point. Layouts
differ where PyTorch's own are its fastest: images are NCHW here and NHWC there, and weights are permuted once on loading.
"""

import json
import struct
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F


def read_safetensors(path):
    """Name to tensor; float32 and int32 only. (The format is eight bytes of length, a JSON header, and the data.)"""
    raw = Path(path).read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    kinds = {"F32": torch.float32, "I32": torch.int32}
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        data = bytearray(raw[8 + length + begin : 8 + length + end])
        tensors[name] = torch.frombuffer(data, dtype=kinds[entry["dtype"]]).reshape(entry["shape"])
    return tensors


class Block(nn.Module):
    """`x += attention(norm1(x)); x += feed_forward(norm2(x))`."""

    def __init__(self, width, heads, bias, norm, act, last_only=False):
        super().__init__()
        self.heads, self.act, self.last_only = heads, act, last_only
        self.norm1 = nn.LayerNorm(width, bias=True) if norm else nn.Identity()
        self.norm2 = nn.LayerNorm(width, bias=True) if norm else nn.Identity()
        self.qkv = nn.Linear(width, 3 * width, bias=bias)
        self.out = nn.Linear(width, width, bias=bias)
        self.up = nn.Linear(width, 4 * width, bias=bias)
        self.down = nn.Linear(4 * width, width, bias=bias)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (z.view(b, t, self.heads, c // self.heads).transpose(1, 2) for z in self.qkv(self.norm1(x)).split(c, 2))
        if self.last_only:
            # Only the last position reaches the loss. It sees all others, so nothing is masked, and from here on the
            # others are not needed.
            y = F.scaled_dot_product_attention(q[:, :, -1:], k, v).transpose(1, 2).reshape(b, c)
            x = x[:, -1] + self.out(y)
        else:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, t, c)
            x = x + self.out(y)
        h = self.up(self.norm2(x))
        h = F.gelu(h, approximate="tanh") if self.act == "gelu" else F.relu(h)
        return x + self.down(h)


class GPT(nn.Module):
    def __init__(self, model, vocabulary, classes, tokens, last_only):
        super().__init__()
        width, norm = model["width"], model.get("norm", "layer") == "layer"
        act = "relu" if model.get("feed_forward", "gelu") == "relu" else "gelu"
        self.last_only = last_only
        self.token_embedding, self.position_embedding = nn.Embedding(vocabulary, width), nn.Embedding(tokens, width)
        depth = model["depth"]
        self.blocks = nn.ModuleList(
            Block(width, model["heads"], model.get("bias", True), norm, act, last_only and i == depth - 1) for i in range(depth)
        )
        self.norm = nn.LayerNorm(width) if norm else nn.Identity()
        self.head = nn.Linear(width, classes, bias=False)
        if model.get("tied", True):
            self.head.weight = self.token_embedding.weight

    def forward(self, ids):
        x = self.token_embedding(ids) + self.position_embedding.weight
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)).view(-1, self.head.out_features)


def mlp(model, inputs, outputs):
    layers, sizes = {}, [inputs, *model["widths"]]
    for i, (a, b) in enumerate(zip(sizes, sizes[1:])):
        layers[f"layers.{i}"], layers[f"act.{i}"] = nn.Linear(a, b), nn.ReLU()
    layers["head"] = nn.Linear(sizes[-1], outputs)
    return Named(layers)


def cnn(model, channels, side, outputs):
    layers = {}
    for i, stage in enumerate(model["stages"]):
        for j in range(stage.get("convs", 1)):
            kernel = stage.get("kernel", 3)
            layers[f"stages.{i}.convs.{j}"] = nn.Conv2d(channels, stage["channels"], kernel, padding=kernel // 2)
            layers[f"act.{i}.{j}"] = nn.ReLU()
            channels = stage["channels"]
        if stage.get("pool", "none") == "max":
            layers[f"pool.{i}"], side = nn.MaxPool2d(2), side // 2
    layers["flatten"] = nn.Flatten()
    dense = mlp(model, channels * side * side, outputs).layers
    return Named({**layers, **dense})


class Named(nn.Module):
    """Layers one after the other, under names that may hold dots."""

    def __init__(self, layers):
        super().__init__()
        self.layers = layers
        self.run = nn.Sequential(*layers.values())

    def forward(self, x):
        return self.run(x)


def own_parameters(model):
    """(the program's name, parameter) for every parameter of a twin."""
    if isinstance(model, Named):
        pairs = [(f"{name}.{kind}", p) for name, layer in model.layers.items() for kind, p in layer.named_parameters()]
    else:
        pairs = list(model.named_parameters())
    for name, parameter in pairs:
        if name.endswith("embedding.weight"):
            name = name.removesuffix(".weight")
        elif "norm" in name:
            name = name.replace(".weight", ".gain")
        yield name, parameter


class Twin:
    """A model, its batches and its optimiser, from an export's folder."""

    def __init__(self, folder, mode, channels_last=False):
        folder = Path(folder)
        config = json.loads((folder / "config.json").read_text())
        steps = json.loads((folder / "steps.json").read_text())
        weights = read_safetensors(folder / "model.safetensors")
        batches = read_safetensors(folder / "batches.safetensors")
        self.model, convert = self.build(config["model"], weights, batches)
        self.batches = []
        for k in range(steps["batches"]):
            x, y = convert(batches[f"input/{k}"]), batches[f"target/{k}"].long().view(-1)
            x = x.long() if x.dtype == torch.int32 else x.float()
            if channels_last and x.dim() == 4:
                x = x.to(memory_format=torch.channels_last)
            self.batches.append((x.contiguous() if not channels_last else x, y))
        self.load(weights)
        if channels_last:
            self.model = self.model.to(memory_format=torch.channels_last)
        self.optimiser = self.adamw(config["optimizer"], steps["roles"])
        training = config["training"]
        assert training["clip_norm"] == 0 and training["label_smoothing"] == 0 and training["ema_decay"] == 0

        def loss(x, y):
            return F.cross_entropy(self.model(x), y)

        self.loss = loss if mode == "eager" else torch.compile(loss)
        self.done = 0

    def build(self, model, weights, batches):
        x = batches["input/0"]
        same = lambda x: x
        if model["kind"] == "gpt":
            vocabulary, tokens = weights["token_embedding"].shape[0], x.shape[1]
            last_only = batches["target/0"].numel() == x.shape[0]
            classes = weights["head.weight"].shape[0] if "head.weight" in weights else vocabulary
            return GPT(model, vocabulary, classes, tokens, last_only), same
        outputs = weights["head.weight"].shape[0]
        if model["kind"] == "cnn":
            self.nhwc = True
            return cnn(model, x.shape[3], x.shape[1], outputs), lambda x: x.permute(0, 3, 1, 2)
        return mlp(model, x[0].numel(), outputs), lambda x: x.reshape(len(x), -1)

    def load(self, weights):
        found = dict(own_parameters(self.model))
        assert found.keys() == weights.keys(), found.keys() ^ weights.keys()
        # The first dense layer behind the convolutions reads pixels in the other order.
        last_conv = [n for n in weights if weights[n].dim() == 4]
        for name, parameter in found.items():
            value = weights[name]
            if value.dim() == 4:
                value = value.permute(0, 3, 1, 2)
            elif last_conv and name == "layers.0.weight":
                channels = weights[last_conv[-1]].shape[0]
                side = int((value.shape[1] / channels) ** 0.5)
                value = value.view(-1, side, side, channels).permute(0, 3, 1, 2).reshape(len(value), -1)
            with torch.no_grad():
                parameter.copy_(value)

    def adamw(self, settings, roles):
        """Weight decay applies to weights and the head, as there."""
        assert settings["kind"] == "adamw" and not settings.get("groups")
        named = list(own_parameters(self.model))
        decays = [p for name, p in named if roles[name] in ("weight", "head")]
        rest = [p for name, p in named if roles[name] not in ("weight", "head")]
        groups = [{"params": decays}, {"params": rest, "weight_decay": 0.0}]
        return torch.optim.AdamW(
            [group for group in groups if group["params"]],
            lr=settings["learning_rate"],
            betas=(settings["beta1"], settings["beta2"]),
            eps=settings["epsilon"],
            weight_decay=settings["weight_decay"],
            fused=True,
        )

    def step(self):
        x, y = self.batches[self.done % len(self.batches)]
        loss = self.loss(x, y)
        loss.backward()
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.done += 1
        return loss
