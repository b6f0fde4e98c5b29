"""Times training steps here and in PyTorch by turns, from the same weights on the same batches.

    pip install torch==2.13.0
    python benches/peers/compare.py --binary target/release/nanoresearch --threads 2 --out docs/benchmarks

For each experiment of benches/train: `nanoresearch bench export` writes the initial weights, the batches and the losses of
100 steps; each twin (eager; torch.compile; for convolutions also eager with channels last) takes the same steps, and its
losses must agree. Then all sides, in this one run and in an order that is drawn anew for each block, take short blocks of
steps, some of them untimed first; while one side works the others wait. Our side is one process that lives on and is told
over a pipe what to do; its time is its own clock's, as PyTorch's is. The ceilings are measured between the blocks.

The ratio of a block is PyTorch's time by ours; PyTorch's is that of the mode that is fastest over the whole run. What is
reported is the median of the blocks' ratios with a 95% bootstrap interval over blocks. For the configs of --reference our
reference engine takes its turns too, and its losses must agree as well.

Needs PyTorch 2.x on a CPU and, for torch.compile, a C++ compiler. Never part of the tests.
"""

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# By default OpenMP's threads spin for a while after each of PyTorch's parallel regions, which is how PyTorch is fastest
# and what its users have; the pauses below are long enough for them to fall asleep.
PAUSE = 0.02
STANDARD = ["char-gpt-4x128", "char-gpt-6x384", "mlp-784-256-10", "mlp-64-128-10", "digits-cnn", "modular-addition"]


class Ours:
    """The program under `bench drive`."""

    def __init__(self, binary, config, engine, threads):
        command = [binary, "bench", "drive", config, "--engine", engine, "--threads", str(threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.about = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"nanoresearch ended early (exit code {self.process.wait()})")
        return json.loads(line)

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.answer()

    def block(self, steps):
        return self.ask(f"steps {steps}")["seconds"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def cpu_seconds(pids):
    """Seconds of all cores that anybody used since the machine started, and those of these processes."""
    tick = os.sysconf("SC_CLK_TCK")
    fields = [int(f) for f in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    own = 0
    for pid in pids:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        own += int(stat[11]) + int(stat[12])
    # Everything but idle and waiting for disks; time that the hypervisor took counts as somebody else's.
    return (sum(fields) - fields[3] - fields[4]) / tick, own / tick


class Theirs:
    """A twin in this process."""

    def __init__(self, twin):
        self.twin = twin

    def block(self, steps):
        begin = time.perf_counter()
        for _ in range(steps):
            loss = self.twin.step()
        loss.item()
        return time.perf_counter() - begin


def interval(values, draws=10_000, seed=0):
    """Median and the 95% percentile bootstrap interval of it."""
    rng = random.Random(seed)
    n = len(values)
    medians = sorted(statistics.median(rng.choices(values, k=n)) for _ in range(draws))
    return statistics.median(values), medians[int(0.025 * draws)], medians[int(0.975 * draws)]


def compare(config, args, folder):
    from twins import Twin

    export = folder / config
    command = [args.binary, "bench", "export", config, "--engine", args.engine, "--threads", str(args.threads)]
    subprocess.run([*command, "--out", str(export), "--steps", str(args.steps)], check=True)
    steps = json.loads((export / "steps.json").read_text())
    kinds = {"eager": ("eager", False), "compile": ("compile", False)}
    if json.loads((export / "config.json").read_text())["model"]["kind"] == "cnn":
        kinds["eager, channels last"] = ("eager", True)
    twins = {name: Twin(export, *kind) for name, kind in kinds.items() if not args.modes or name in args.modes}

    # The same trajectories: the largest relative difference of any step's loss.
    agreement, curves = {}, {}
    for name, twin in twins.items():
        curves[name] = [twin.step().item() for _ in steps["losses"]]
        differences = [abs(a - b) / abs(b) for a, b in zip(curves[name], steps["losses"])]
        agreement[name] = max(differences, default=0.0)
        print(f"  {name}: largest relative difference of {len(differences)} losses {agreement[name]:.2e}", file=sys.stderr)
        if not agreement[name] <= args.tolerance:
            raise SystemExit(f"{config}, {name}: the losses differ by {agreement[name]:.2e}, more than {args.tolerance:g}")

    ours = Ours(args.binary, config, args.engine, args.threads)
    sides = {"ours": ours, **{name: Theirs(twin) for name, twin in twins.items()}}
    pids = [os.getpid(), ours.process.pid]
    if config in args.reference:
        again = folder / f"{config}-reference"
        command = [args.binary, "bench", "export", config, "--engine", "reference", "--threads", str(args.threads)]
        subprocess.run([*command, "--out", str(again), "--steps", str(args.steps)], check=True)
        losses = json.loads((again / "steps.json").read_text())["losses"]
        agreement["reference"] = max((abs(a - b) / abs(b) for a, b in zip(losses, steps["losses"])), default=0.0)
        if not agreement["reference"] <= args.tolerance:
            raise SystemExit(f"{config}: the engines' losses differ by {agreement['reference']:.2e}")
        sides["reference"] = Ours(args.binary, config, "reference", args.threads)
        pids.append(sides["reference"].process.pid)
    counts, warm = {}, {}
    for name, side in sides.items():
        time.sleep(PAUSE)
        side.block(1)
        one = side.block(1)
        if one < 0.1:
            one = min(one, side.block(3) / 3)
        counts[name] = max(1, round(args.block_seconds / one))
        # A tenth of a block wakes threads and caches; where a step is as long as a block there is nothing to wake.
        warm[name] = 0 if counts[name] == 1 else max(1, counts[name] // 10)
    times = {name: [] for name in sides}
    ceilings = []
    order = list(sides)
    begin, (used, own) = time.perf_counter(), cpu_seconds(pids)
    for block in range(args.blocks):
        random.Random(block).shuffle(order)
        for name in order:
            time.sleep(PAUSE)
            if warm[name]:
                sides[name].block(warm[name])
            times[name].append(sides[name].block(counts[name]) / counts[name])
        time.sleep(PAUSE)
        ceilings.append(ours.ask("ceilings"))
    wall, (used_after, own_after) = time.perf_counter() - begin, cpu_seconds(pids)
    others = max(0.0, (used_after - used) - (own_after - own)) / wall
    about = ours.about
    for side in sides.values():
        if isinstance(side, Ours):
            side.close()

    best = min(twins, key=lambda name: statistics.median(times[name]))
    row = {
        "config": config,
        "engine": about["engine"],
        "threads": about["threads"],
        "parameters": about["parameters"],
        "step_flops": about["step_flops"],
        "samples": about["samples"],
        "tokens": about["tokens"],
        "losses": {"steps": len(steps["losses"]), "first": steps["losses"][0], "last": steps["losses"][-1]},
        "largest_loss_difference": agreement,
        "blocks": args.blocks,
        "steps_a_block": counts,
        "untimed_steps_a_block": warm,
        "seconds": times,
        "median_seconds": {name: statistics.median(values) for name, values in times.items()},
        "cores_used_by_others": others,
        "best_peer": best,
        "ratio": dict(zip(["median", "low", "high"], interval([p / o for p, o in zip(times[best], times["ours"])]))),
        "ratios": {name: interval([p / o for p, o in zip(times[name], times["ours"])]) for name in twins},
        "ceilings": {key: statistics.median(c[key] for c in ceilings) for key in ceilings[0]},
    }
    rates = [about["step_flops"] / seconds / c["gemm"] for seconds, c in zip(times["ours"], ceilings)]
    if "reference" in times:
        pairs = zip(times["reference"], times["ours"])
        row["reference_ratio"] = dict(zip(["median", "low", "high"], interval([r / o for r, o in pairs])))
    row["of_gemm"] = dict(zip(["median", "low", "high"], interval(rates)))
    ratio = row["ratio"]
    if others > 0.1:
        print(f"  warning: other processes used {others:.2f} cores meanwhile; these figures are not to be quoted", file=sys.stderr)
    print(
        f"{config}: ours {1e3 * row['median_seconds']['ours']:.3f} ms, best peer ({best}) "
        f"{1e3 * row['median_seconds'][best]:.3f} ms, ratio {ratio['median']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]",
        file=sys.stderr,
    )
    return row


def machine(threads):
    import torch

    model = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.machine())
    memory = next((l.split(":")[1].strip() for l in open("/proc/meminfo") if l.startswith("MemTotal")), "?")
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "isa": torch.backends.cpu.get_cpu_capability(),
        "memory": memory,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": threads,
        "load_average_before": os.getloadavg(),
    }


def milliseconds(seconds):
    return f"{1e3 * seconds:.3g}" if seconds < 0.1 else f"{1e3 * seconds:.0f}"


def bracketed(ratio):
    return f"{ratio['median']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]"


def markdown(document):
    facts = document["machine"]
    lines = [
        "# Training steps on a CPU against PyTorch",
        "",
        "Written by `benches/peers/compare.py`; the numbers of every block are in the JSON file beside this one.",
        "",
        "```",
        document["command"],
        "```",
        "",
        f"{facts['cpu']}, {facts['cores']} cores, {facts['isa']}, {facts['memory']}; kernel {facts['kernel']}; "
        f"PyTorch {facts['torch']}, Python {facts['python']}; {facts['threads']} threads on each side, f32; "
        f"other processes used at most {max(row['cores_used_by_others'] for row in document['rows']):.2f} cores meanwhile; "
        f"{document['date']}.",
        "",
        "| experiment | ours, ms | PyTorch eager, ms | torch.compile, ms | ratio to the best [95%] | of the GEMM rate | largest loss difference |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in document["rows"]:
        median = row["median_seconds"]
        eager = min(median[name] for name in median if name.startswith("eager"))
        losses = max(row["largest_loss_difference"].values())
        lines.append(
            f"| {row['config']} | {milliseconds(median['ours'])} | {milliseconds(eager)} | "
            f"{milliseconds(median['compile']) if 'compile' in median else '-'} | {bracketed(row['ratio'])} | "
            f"{100 * row['of_gemm']['median']:.0f}% | {losses:.1e} |"
        )
    for row in document["rows"]:
        if "reference_ratio" in row:
            lines += [
                "",
                f"{row['config']} on the reference engine, in the same blocks: {milliseconds(row['median_seconds']['reference'])} ms, "
                f"{bracketed(row['reference_ratio'])} times the compiled engine's.",
            ]
    rates = [row["ceilings"] for row in document["rows"]]
    spread = lambda key, unit: f"{min(r[key] for r in rates) / 1e9:.0f} to {max(r[key] for r in rates) / 1e9:.0f} {unit}"
    lines += [
        "",
        f"Ceilings between the blocks, medians over each row's: multiply-adds in registers {spread('fma', 'GFLOP/s')}, a 1024 x 1024 "
        f"product {spread('gemm', 'GFLOP/s')}, copying {spread('copy', 'GB/s')}.",
        "",
        "How: both sides begin at the same exported weights and take the same 8 batches in turn with AdamW (decay on weights and",
        "head only, fused in PyTorch) and without clipping. The losses of the first steps agree within the last column (relative;",
        f"refused above {document['tolerance']:g}). Then all sides take blocks of steps by turns in one run, each block after a pause and untimed",
        "steps; a ratio is the median over blocks of PyTorch's time by ours, its interval a bootstrap over blocks, PyTorch's mode the",
        "one that is fastest over the row. FLOPs are those of matrix products, convolutions and attention (causal attention in full)",
        "as the unpruned program has them; the GEMM rate is measured after each block.",
    ]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="target/release/nanoresearch")
    parser.add_argument("--configs", default=",".join(STANDARD))
    parser.add_argument("--engine", default="compiled")
    parser.add_argument("--reference", default=STANDARD[0], help="configs that our reference engine steps too")
    parser.add_argument("--modes", default="", help="eager,compile (default: all)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--blocks", type=int, default=20)
    parser.add_argument("--block-seconds", type=float, default=0.25)
    parser.add_argument("--steps", type=int, default=100, help="steps whose losses are compared")
    parser.add_argument("--tolerance", type=float, default=1e-3, help="largest relative difference of a loss")
    parser.add_argument("--out", help="folder for train-cpu.json and train-cpu.md; printed where absent")
    args = parser.parse_args()
    args.reference = args.reference.split(",")
    args.modes = [mode for mode in args.modes.split(",") if mode]
    args.binary = str(Path(args.binary).resolve())

    import torch

    torch.set_num_threads(args.threads)
    sys.path.insert(0, str(Path(__file__).parent))
    document = {
        "command": "python benches/peers/compare.py "
        + f"--engine {args.engine} --threads {args.threads} --blocks {args.blocks} --block-seconds {args.block_seconds} --steps {args.steps}",
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "machine": machine(args.threads),
        "tolerance": args.tolerance,
        "rows": [],
    }
    with tempfile.TemporaryDirectory() as folder:
        for config in args.configs.split(","):
            print(f"{config}", file=sys.stderr)
            torch._dynamo.reset()
            document["rows"].append(compare(config, args, Path(folder)))
            document["machine"]["load_average_after"] = os.getloadavg()
            # After each row: a run that is cut short keeps what it has.
            if args.out:
                out = Path(args.out)
                out.mkdir(parents=True, exist_ok=True)
                (out / "train-cpu.json").write_text(json.dumps(document, indent=1) + "\n")
                (out / "train-cpu.md").write_text(markdown(document))
    if not args.out:
        print(markdown(document))


if __name__ == "__main__":
    main()
