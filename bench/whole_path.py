"""The whole path on a real Kafka: cost a signal against a bare drain, latency, memory, fairness.

Usage: whole_path.py --brokers HOST:PORT [--program PATH] [--bench PATH] [--out FILE] [--scale F]
Everything but the brokers has a default. The service runs as a user runs it, as a process of its own;
its CPU time is the kernel's figure for that process, its threads and start included.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SUBJECTS = 1000
SERIES = 100_000
# Signals of each form: enough for some seconds of work.
FORMS = {"json": 2_000_000, "ndjson": 4_000_000, "frame": 8_000_000}
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
topics: {{prefix: {self.prefix}, partitions: 8}}
data_dir: {self.folder.name}/data
http: {{listen: "{self.address}"}}
mode: observe
playbooks_dir: {ROOT}/config/playbooks
policies_file: {ROOT}/config/policies/default.yaml
graph_file: graph.yaml
""")
        subprocess.run([self.program, "topics", "create", "--config", self.config], check=True,
                       stdout=subprocess.DEVNULL)

    def start(self):
        self.log = open(os.path.join(self.folder.name, "log"), "w")
        self.process = subprocess.Popen([self.program, "run", "--config", self.config],
                                        stdout=subprocess.PIPE, stderr=self.log, text=True)
        if not self.process.stdout.readline().startswith("ready"):
            raise SystemExit("the service did not start:\n" + open(self.log.name).read())

    def stop(self):
        self.process.terminate()
        self.process.wait(30)

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND

    def memory_mb(self, name="VmRSS"):
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(rf"^{name}:\s+(\d+)", status.read(), re.M)[1]) / 1024

    def metric(self, name):
        text = urllib.request.urlopen(f"http://{self.address}/metrics", timeout=30).read().decode()
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.M))

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
    service.stop()
    note("latency: " + json.dumps(result))
    return result


def illness(options, bench):
    service = Service(options, "illness")
    service.start()
    service.wait_until_ready()
    result = bench.run(service, "illness", "--subjects", str(SUBJECTS))
    service.stop()
    note("illness: " + json.dumps(result))
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--program", default=os.path.join(ROOT, "build/release/selfheal"))
    parser.add_argument("--bench", default=os.path.join(ROOT,
                                                        "build/release/bench/selfheal_kafka_bench"))
    parser.add_argument("--out", default="")
    parser.add_argument("--scale", type=float, default=1.0, help="times the shipped sizes")
    parser.add_argument("--only", default="", help="json, ndjson, frame, latency or illness")
    options = parser.parse_args()
    bench = Bench(options)
    results = {"paths": []}
    for form, signals in FORMS.items():
        if options.only in ("", form):
            results["paths"].append(whole_path(options, bench, form, signals))
    if options.only in ("", "latency"):
        results["latency"] = latency(options, bench)
    if options.only in ("", "illness"):
        results["illness"] = illness(options, bench)
    text = json.dumps(results, indent=1)
    print(text)
    if options.out:
        with open(options.out, "w") as out:
            out.write(text + "\n")


main()
