"""The whole path on a real Kafka: cost a signal against a bare drain, latency, memory, fairness, and
how long a restart and a machine with an empty disk take.

Usage: whole_path.py --brokers HOST:PORT [--program PATH] [--bench PATH] [--out FILE] [--scale F]
Everything but the brokers has a default. The service runs as a user runs it, as a process of its own;
its CPU time is the kernel's figure for that process, its threads and start included.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PARTITIONS = 8
SUBJECTS = 1000
SERIES = 100_000
# Signals of each form: enough for some seconds of work.
FORMS = {"json": 2_000_000, "ndjson": 4_000_000, "frame": 8_000_000}
STAGES = ["predictor", "scheduler", "approver", "runner", "verifier", "learner"]
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
FIRST_PORT = 18430


def note(text):
    print(text, file=sys.stderr, flush=True)


class Service:
    """One `selfheal run` on topics of its own."""
    count = 0

    def __init__(self, options, name):
        Service.count += 1
        self.program = options.program
        self.prefix = f"bench{os.getpid()}{name}"
        self.address = f"127.0.0.1:{FIRST_PORT + Service.count}"
        self.folder = tempfile.TemporaryDirectory(prefix="selfheal-bench.")
        services = "".join(f"  - {{name: service-{i}, risk_tier: low}}\n" for i in range(SUBJECTS))
        with open(os.path.join(self.folder.name, "graph.yaml"), "w") as graph:
            graph.write("services:\n" + services)
        self.config = os.path.join(self.folder.name, "service.yaml")
        with open(self.config, "w") as config:
            config.write(f"""\
bus: {{kind: kafka, brokers: "{options.brokers}"}}
topics: {{prefix: {self.prefix}, partitions: {PARTITIONS}}}
data_dir: {self.folder.name}/data
http: {{listen: "{self.address}"}}
mode: observe
playbooks_dir: {ROOT}/config/playbooks
policies_file: {ROOT}/config/policies/default.yaml
graph_file: graph.yaml
""")
        subprocess.run([self.program, "topics", "create", "--config", self.config], check=True,
                       stdout=subprocess.DEVNULL)

    def start(self, *settings):
        self.log = open(os.path.join(self.folder.name, "log"), "a")
        words = [word for each in settings for word in ("--set", each)]
        self.process = subprocess.Popen([self.program, "run", "--config", self.config, *words],
                                        stdout=subprocess.PIPE, stderr=self.log, text=True)
        if not self.process.stdout.readline().startswith("ready"):
            raise SystemExit("the service did not start:\n" + open(self.log.name).read())

    def stop(self):
        self.process.terminate()
        self.process.wait(30)

    def kill(self):
        self.process.kill()
        self.process.wait(30)

    def forget_disk(self):
        shutil.rmtree(os.path.join(self.folder.name, "data", "state"))

    def take(self, signals, seconds_max=300):
        """Waits until so many signals have been decided on."""
        self.wait_for(lambda: self.metric("self_heal_signals_total") >= signals, seconds_max,
                      f"deciding on {signals} signals")

    def wait_for(self, condition, seconds_max, what):
        deadline = time.monotonic() + seconds_max
        while not condition():
            if time.monotonic() > deadline:
                raise SystemExit(f"{what}: not within {seconds_max} s")
            time.sleep(0.2)

    def histogram(self, name, label=""):
        """Upper bounds and cumulated counts of one series of a histogram."""
        pattern = rf'^{name}_bucket{{{label}(?:,)?le="([^"]+)"}} (\S+)$'
        found = re.findall(pattern, self.metrics(), re.M)
        return [(float(bound), float(count)) for bound, count in found]

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND

    def memory_mb(self, name="VmRSS"):
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(rf"^{name}:\s+(\d+)", status.read(), re.M)[1]) / 1024

    def metrics(self):
        return urllib.request.urlopen(f"http://{self.address}/metrics", timeout=30).read().decode()

    def values(self, name):
        """Of every series of a metric."""
        found = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", self.metrics(), re.M)
        return [float(value) for value in found]

    def metric(self, name):
        return sum(self.values(name))

    def wait_until_ready(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"http://{self.address}/readyz", timeout=5)
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit("the service did not become ready")


class Bench:
    def __init__(self, options):
        self.options = options

    def run(self, service, *words):
        done = subprocess.run([self.options.bench, "--brokers", self.options.brokers, "--prefix",
                               service.prefix, *words], capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(words)}: {done.stderr}{done.stdout}")
        return json.loads(done.stdout)


def whole_path(options, bench, form, signals):
    service = Service(options, form)
    signals = int(signals * options.scale)
    note(f"{form}: {signals} signals over {SERIES} series")
    filled = bench.run(service, "fill", "--form", form, "--signals", str(signals), "--series",
                       str(SERIES))
    bare = bench.run(service, "drain", service.prefix + ".signals")
    service.start()
    begin = time.monotonic()
    half = None
    while (done := service.metric("self_heal_signals_total")) < signals:
        if half is None and done > signals / 2:
            half = bench.run(service, "progress")
        if time.monotonic() - begin > 300:
            raise SystemExit(f"{form}: {done} of {signals} after 300 s")
        time.sleep(0.2)
    seconds = time.monotonic() - begin
    cpu_seconds = service.cpu_seconds()
    rate = signals / cpu_seconds
    bare_rate = bare["messages"] / bare["cpu_seconds"]
    result = {"form": form, "signals": signals, "messages": filled["messages"],
              "signals_per_cpu_second": round(rate), "signals_per_second": round(signals / seconds),
              "cpu_seconds": cpu_seconds, "bare_messages_per_cpu_second": round(bare_rate),
              "messages_of_bare": round(filled["messages"] / cpu_seconds / bare_rate, 3),
              "memory_mb": round(service.memory_mb(), 1),
              "memory_peak_mb": round(service.memory_mb("VmHWM"), 1)}
    if half:
        result["least_shard_of_fair_share"] = round(min(half) / (sum(half) / len(half)), 3)
    service.stop()
    note(json.dumps(result))
    return result


def latency(options, bench):
    service = Service(options, "latency")
    service.start()
    service.wait_until_ready()
    bench.run(service, "latency", "--seconds", "3")  # the first round makes series and connections
    before = service.cpu_seconds()
    result = bench.run(service, "latency", "--seconds", str(max(5, int(20 * options.scale))))
    result["cpu_seconds"] = round(service.cpu_seconds() - before, 2)
    result["commit_mean_ms"] = round(1000 * service.metric("self_heal_commit_seconds_sum") /
                                     service.metric("self_heal_commit_seconds_count"), 2)
    result["stages_us"] = stage_costs(service)
    service.stop()
    note("latency: " + json.dumps(result))
    return result


def beside_backlog(options, bench):
    """Latency of the other shards while the first one drains a backlog as fast as it can."""
    source = Service(options, "source")
    bench.run(source, "fill", "--form", "json", "--signals", "1000000", "--series", str(SERIES))
    backlog = os.path.join(source.folder.name, "backlog")
    kcat = f"kcat -q -b {options.brokers} -p 0 -t"
    subprocess.run(f"{kcat} {source.prefix}.signals -C -e > {backlog}", shell=True, check=True)
    service = Service(options, "backlog")
    service.start()
    service.wait_until_ready()
    bench.run(service, "latency", "--seconds", "3")
    service.stop()
    copies = max(5, int(50 * options.scale))
    for _ in range(copies):
        subprocess.run(f"{kcat} {service.prefix}.signals -P -l {backlog}", shell=True, check=True)
    with open(backlog) as lines:
        waiting = copies * sum(1 for _ in lines)
    service.start()
    service.wait_until_ready()
    begin, before = time.monotonic(), service.metric("self_heal_signals_total")
    result = bench.run(service, "latency", "--seconds", "5", "--from-shard", "1")
    after = service.metric("self_heal_signals_total")
    if after >= waiting:
        raise SystemExit("the backlog was drained before the latency was measured: a larger --scale")
    result["drained_per_second"] = round((after - before) / (time.monotonic() - begin))
    service.stop()
    note("backlog: " + json.dumps(result))
    return result


def quantile(buckets, share):
    """Within a bucket as if its values lay evenly; None where there are none."""
    total = buckets[-1][1] if buckets else 0
    if total == 0:
        return None
    below, low = 0, 0
    for bound, count in buckets:
        if count >= share * total:
            bound = low if bound == float("inf") else bound
            return low + (bound - low) * (share * total - below) / max(count - below, 1)
        below, low = count, bound
    return low


def stage_costs(service):
    """Microseconds a cut: half of the cuts, and all but a hundredth, cost no more."""
    costs = {}
    for stage in STAGES:
        buckets = service.histogram("self_heal_stage_seconds", f'stage="{stage}"')
        at = {name: quantile(buckets, share) for name, share in (("p50", 0.5), ("p99", 0.99))}
        costs[stage] = {name: round(1e6 * each, 1) for name, each in at.items() if each is not None}
    return costs


def restart(options, bench, series):
    """kill -9 and a new process on the same disk: until every shard decides again."""
    service = Service(options, f"restart{series}")
    bench.run(service, "fill", "--form", "frame", "--signals", str(2 * series), "--series",
              str(series))
    service.start()
    service.take(2 * series)
    time.sleep(12)  # state goes to disk every ten seconds: a service that has been up for a while
    service.kill()
    result = {"series": series, "restart_seconds": ready_again(service)}
    service.stop()
    note("restart: " + json.dumps(result))
    return result


def recovery(options, bench, series):
    """A machine with an empty disk: from snapshots on the bus until every shard decides."""
    service = Service(options, f"recovery{series}")
    bench.run(service, "fill", "--form", "frame", "--signals", str(2 * series), "--series",
              str(series))
    often = "snapshot.interval=10s"
    service.start(often)
    service.take(2 * series)
    taken = time.monotonic()

    def all_newer():
        """One of each shard with signals was written since the last signal: it has them all."""
        ages = service.values("self_heal_snapshot_age_seconds")
        since = time.monotonic() - taken
        return len([age for age in ages if age < since]) >= PARTITIONS
    service.wait_for(all_newer, 180, "snapshots")
    service.stop()
    service.forget_disk()
    result = {"series": series, "recovery_seconds": ready_again(service)}
    result["shards_from_snapshots"] = service.metric("self_heal_restores_total")
    result["memory_mb"] = round(service.memory_mb(), 1)
    service.stop()
    note("recovery: " + json.dumps(result))
    return result


def ready_again(service):
    begin = time.monotonic()
    service.start()
    service.wait_until_ready()
    return round(time.monotonic() - begin, 2)


def illness(options, bench):
    service = Service(options, "illness")
    service.start()
    service.wait_until_ready()
    result = bench.run(service, "illness", "--subjects", str(SUBJECTS))
    service.stop()
    note("illness: " + json.dumps(result))
    return result


def print_table(results):
    """The ratios first: they are what two runs on different machines have in common."""
    print(f"{'form':8} {'of the bare drain':>18} {'signals a CPU-second':>21} {'memory':>9}")
    for path in results["paths"]:
        print(f"{path['form']:8} {path['messages_of_bare']:18.3f} "
              f"{path['signals_per_cpu_second']:21,} {path['memory_mb']:6.0f} MB")
    for name, result in results.items():
        if name == "paths":
            continue
        numbers = [f"{key} {value:g}" for key, value in result.items()
                   if isinstance(value, (int, float))]
        print(f"{name:8} " + ", ".join(numbers))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--program", default=os.path.join(ROOT, "build/release/selfheal"))
    parser.add_argument("--bench", default=os.path.join(ROOT,
                                                        "build/release/bench/selfheal_kafka_bench"))
    parser.add_argument("--out", default="")
    parser.add_argument("--scale", type=float, default=1.0, help="times the shipped sizes")
    parser.add_argument("--only", default="",
                        help="json, ndjson, frame, latency, backlog, illness, restart or recovery")
    options = parser.parse_args()
    bench = Bench(options)
    results = {"paths": []}
    for form, signals in FORMS.items():
        if options.only in ("", form):
            results["paths"].append(whole_path(options, bench, form, signals))
    if options.only in ("", "latency"):
        results["latency"] = latency(options, bench)
    if options.only in ("", "backlog"):
        results["backlog"] = beside_backlog(options, bench)
    if options.only in ("", "illness"):
        results["illness"] = illness(options, bench)
    if options.only in ("", "restart"):
        results["restart"] = restart(options, bench, int(SERIES * options.scale))
    if options.only in ("", "recovery"):
        results["recovery"] = recovery(options, bench, int(10 * SERIES * options.scale))
    text = json.dumps(results, indent=1)
    if not options.out:
        return print(text)
    with open(options.out, "w") as out:
        out.write(text + "\n")
    print_table(results)


main()
