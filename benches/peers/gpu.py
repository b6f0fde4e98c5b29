#!/usr/bin/env python3
"""PyTorch's side of the training steps on a GPU: the works of benches/train, and GPT-2 124M, as fast as PyTorch can.

    python3 benches/peers/gpu.py --out peers.jsonl --deadline 240      # everything, the most wanted first
    python3 benches/peers/gpu.py --warm                                # only fills torch.compile's cache, in parallel
    python3 benches/peers/gpu.py --ceilings                            # matrix rate and copy bandwidth

Modes: eager; compile; reduce-overhead (CUDA graphs of forward and backward); graph (one CUDA graph of the whole step, compiled
forward, capturable AdamW); max-autotune. One JSON line a measurement: median and range of the step's time, the losses of the
first steps, peak memory. AdamW is fused. bf16 is autocast with f32 weights, the loss in f32.
"""
import argparse, json, statistics, subprocess, sys, time
import torch, torch.nn as nn, torch.nn.functional as F


class Block(nn.Module):
    def __init__(self, width, heads, norm, act):
        super().__init__()
        self.heads, self.act = heads, act
        self.n1 = nn.LayerNorm(width) if norm else nn.Identity()
        self.n2 = nn.LayerNorm(width) if norm else nn.Identity()
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (z.view(b, t, self.heads, c // self.heads).transpose(1, 2) for z in self.qkv(self.n1(x)).split(c, 2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, t, c)
        x = x + self.out(y)
        h = self.up(self.n2(x))
        return x + self.down(F.gelu(h, approximate="tanh") if self.act == "gelu" else F.relu(h))


class GPT(nn.Module):
    def __init__(self, layers, width, heads, tokens, vocab, tied=True, last_only=False, norm=True, act="gelu"):
        super().__init__()
        self.last_only = last_only
        self.tok, self.pos = nn.Embedding(vocab, width), nn.Embedding(tokens, width)
        self.blocks = nn.ModuleList(Block(width, heads, norm, act) for _ in range(layers))
        self.norm = nn.LayerNorm(width) if norm else nn.Identity()
        self.head = nn.Linear(width, vocab, bias=False)
        if tied:
            self.head.weight = self.tok.weight
        for p in self.parameters():
            if p.dim() >= 2:
                nn.init.normal_(p, std=0.02)

    def forward(self, ids):
        x = self.tok(ids) + self.pos(torch.arange(ids.shape[1], device=ids.device))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x[:, -1] if self.last_only else x))


def work(name):
    """-> (model factory, input factory, target factory, FLOPs of a micro-step, tokens of a micro-step, micro-steps)"""
    def lm(layers, width, heads, tokens, vocab, batch, micro=1):
        ids = lambda: torch.randint(0, vocab, (batch, tokens))
        flops = 3 * (2 * (12 * width * width * layers + width * vocab) + 4 * layers * tokens * width) * tokens * batch
        return lambda: GPT(layers, width, heads, tokens, vocab), ids, ids, flops, batch * tokens, micro
    classes = lambda n, batch: (lambda: torch.randint(0, n, (batch,)))
    mlp = lambda a, b: (lambda: nn.Sequential(nn.Linear(a, b), nn.ReLU(), nn.Linear(b, 10)), lambda: torch.randn(64, a),
                        classes(10, 64), 6 * 64 * (a * b + b * 10), 64, 1)
    cnn = lambda: nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                                nn.Flatten(), nn.Linear(1024, 128), nn.ReLU(), nn.Linear(128, 10))
    return {
        "gpt2-124m": lambda: lm(12, 768, 12, 1024, 50304, 64, 8),
        "char-gpt-6x384-b64": lambda: lm(6, 384, 6, 256, 65, 64),
        "char-gpt-6x384": lambda: lm(6, 384, 6, 256, 65, 16),
        "char-gpt-4x128": lambda: lm(4, 128, 4, 64, 65, 32),
        "modular-addition": lambda: (lambda: GPT(1, 128, 4, 3, 114, False, True, False, "relu"), lambda: torch.randint(0, 114, (512, 3)),
                                     classes(113, 512), 6 * (512 * 3 * 12 * 128 * 128 + 512 * 128 * 114), 512, 1),
        "mlp-784-256-10": lambda: mlp(784, 256),
        "mlp-64-128-10": lambda: mlp(64, 128),
        "digits-cnn": lambda: (cnn, lambda: torch.randn(64, 1, 8, 8), classes(10, 64),
                               6 * 64 * (64 * 9 * 32 + 64 * 288 * 64 + 1024 * 128 + 1280), 64, 1),
    }[name]()


MODES = ["eager", "compile", "reduce-overhead", "graph"]
# The most wanted first: a deadline cuts off the end.
PLAN = [(w, d, m) for w, d in [("char-gpt-6x384-b64", "bf16"), ("char-gpt-6x384", "bf16"), ("char-gpt-6x384", "f32"), ("char-gpt-4x128", "f32"),
                               ("modular-addition", "f32"), ("mlp-784-256-10", "f32"), ("mlp-64-128-10", "f32"), ("digits-cnn", "f32"),
                               ("gpt2-124m", "bf16"), ("char-gpt-4x128", "bf16")] for m in MODES]
PLAN += [("char-gpt-6x384-b64", "bf16", "max-autotune"), ("gpt2-124m", "bf16", "max-autotune")]


def measure(name, dtype, mode, seconds):
    make, make_x, make_y, flops, tokens, micro = work(name)
    torch.manual_seed(0)
    torch._dynamo.reset()
    torch.cuda.reset_peak_memory_stats()
    model = make().cuda()
    x, y = make_x().cuda(), make_y().cuda()
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-4, fused=True, capturable=mode == "graph")
    compiled = None if mode in ("compile", "graph") else mode
    # Gradients that were born inside one of torch's own CUDA graphs are overwritten by its next run: these are not.
    own_gradients = mode in ("reduce-overhead", "max-autotune")
    if own_gradients:
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
    forward = model if mode == "eager" else torch.compile(model, mode=compiled)

    def micro_step():
        if compiled and mode != "eager":
            torch.compiler.cudagraph_mark_step_begin()
        # Inside a graph the cast weights must be made anew each time.
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=dtype == "bf16", cache_enabled=mode != "graph"):
            logits = forward(x)
        loss = F.cross_entropy(logits.view(-1, logits.shape[-1]).float(), y.view(-1)) / micro
        loss.backward()
        return loss

    def step():
        for _ in range(micro):
            loss = micro_step()
        optimiser.step()
        optimiser.zero_grad(set_to_none=not own_gradients)
        return loss

    started = time.perf_counter()
    if mode == "graph":
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            losses = [step().item() * micro for _ in range(5)]
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
        run = graph.replay
    else:
        losses = [step().item() * micro for _ in range(5)]
        run = step
    for _ in range(5):
        run()
    torch.cuda.synchronize()
    warm = time.perf_counter() - started
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 5:
        n = max(1, int(0.05 / (statistics.median(times) if times else 1)))
        t = time.perf_counter()
        for _ in range(n):
            run()
        torch.cuda.synchronize()
        times.append((time.perf_counter() - t) / n)
    median = statistics.median(times)
    return {"work": name, "dtype": dtype, "mode": mode, "step_ms": 1e3 * median, "range_ms": [1e3 * min(times), 1e3 * max(times)],
            "tokens_per_second": tokens * micro / median, "tflops": flops * micro / median / 1e12, "warm_up_s": warm, "losses": losses,
            "peak_MiB": torch.cuda.max_memory_allocated() / 2**20, "torch": torch.__version__, "card": torch.cuda.get_device_name()}


def ceilings():
    def timed(f, k):
        f(); torch.cuda.synchronize(); runs = []
        for _ in range(k):
            t = time.perf_counter(); f(); torch.cuda.synchronize(); runs.append(time.perf_counter() - t)
        return statistics.median(runs)
    rate = lambda n, dtype: 2 * n**3 / timed((lambda a, b: lambda: a @ b)(*(torch.randn(n, n, device="cuda", dtype=dtype) for _ in "ab")), 20) / 1e12
    big = torch.rand(2**28, device="cuda")
    out = torch.empty_like(big)
    return {"matmul_bf16_tflops": rate(8192, torch.bfloat16), "matmul_f32_tflops": rate(8192, torch.float32),
            "copy_GBs": 2 * big.numel() * 4 / timed(lambda: out.copy_(big), 15) / 1e9, "card": torch.cuda.get_device_name()}


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out")
    p.add_argument("--seconds", type=float, default=1.0)
    p.add_argument("--deadline", type=float, default=1e9, help="begin nothing after so many seconds")
    p.add_argument("--only", help="one WORK/DTYPE/MODE")
    p.add_argument("--warm", action="store_true")
    p.add_argument("--ceilings", action="store_true")
    a = p.parse_args()
    begun = time.monotonic()
    if a.ceilings:
        print(json.dumps(ceilings()))
        sys.exit()
    if a.warm:
        # The largest does not fit beside all others.
        jobs = [f"{w}/{d}/{m}" for w, d, m in PLAN if m in ("compile", "reduce-overhead") and w != "gpt2-124m"]
        command = lambda job: [sys.executable, __file__, "--only", job, "--seconds", "0"]
        running = [subprocess.Popen(command(job), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for job in jobs]
        sys.exit(max(process.wait() for process in running))
    plan = [tuple(a.only.split("/"))] if a.only else PLAN
    for name, dtype, mode in plan:
        if time.monotonic() - begun > a.deadline:
            print(json.dumps({"work": name, "dtype": dtype, "mode": mode, "error": "not begun: the deadline had passed"}))
            continue
        try:
            row = measure(name, dtype, mode, a.seconds)
        except Exception as error:  # one that fails must not hide the others
            row = {"work": name, "dtype": dtype, "mode": mode, "error": f"{type(error).__name__}: {error}"[:300]}
        print(json.dumps(row), flush=True)
        if a.out:
            with open(a.out, "a") as file:
                file.write(json.dumps(row) + "\n")
