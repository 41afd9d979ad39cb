"""What a soak needs beside chaos: a broker, processes, sick services, and a count of every effect.

Each process has a data folder of its own; the folder of action files is shared, as on one machine.
A step leaves a line with its action's id in one file, so that twice can be told from once.
"""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "system"))
from support import PROGRAM, ROOT, free_port, wait_for, wait_until_taken  # noqa: E402, F401

PARTITIONS = 4
SHARDS = PARTITIONS + 1  # the fleet's is the last
NAMES = ("a", "b", "c")
# Many, because an incident that reaches a person (in doubt, or out of attempts) keeps its service to
# itself, and nobody answers here.
SERVICES = 1000
METRICS_A_ROUND = 24

PLAYBOOK = """\
name: {name}
title: Restart a service of the soak
risk: low
auto_approve: true
triggers: [service_down]
scope: {{services: [{scope}]}}
effect: {effect}
prior: {{mean: 0.9, weight: 8}}
{probe}steps:
  - name: restart
    run: {{argv: [/bin/sh, {folder}/restart.sh, "{{{{service}}}}"], timeout: 20s}}
verify:
  - {{run: {{argv: [/usr/bin/test, -e, "{folder}/healed/{{{{service}}}}"]}}, within: 15s}}
"""

# The line is the effect. A moment later the patient is well; kills fall before, between and after.
SCRIPT = """\
echo "$SELF_HEAL_ACTION_ID $SELF_HEAL_ATTEMPT $1" >> {folder}/effects
sleep 0.$(( $$ % 7 ))
touch {folder}/healed/"$1"
"""

CONFIG = """\
bus: {{kind: kafka, brokers: "127.0.0.1:{broker}"}}
topics: {{prefix: soak, partitions: {partitions}}}
instance: {name}
data_dir: {data}
actions_dir: {folder}/actions
keys_dir: {folder}/keys
http: {{listen: "127.0.0.1:{port}"}}
mode: execute
playbooks_dir: {folder}/playbooks
policies_file: {folder}/policies.yaml
graph_file: {folder}/graph.yaml
cluster: {{balance_after: 3s}}
snapshot: {{interval: 30s, records: 2000}}
run: {{probe_interval: 250ms}}
approval: {{request_expires: 60s}}
limits: {{backoff_base: 1s, backoff_cap: 2s, proposals_per_hour_per_service: 100000, fleet_concurrent: 400, fleet_starts_per_minute: 100000}}
breaker: {{failures: 1000}}
"""


def run_quietly(words, **options):
    return subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
                          **options)


class Broker:
    def __init__(self, folder):
        self.port = free_port()
        self.folder = folder + "/kafka"

    def script(self, word):
        subprocess.run([ROOT + "/script/kafka", word, "--port", str(self.port), "--data",
                        self.folder], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, timeout=180)

    def kill(self):
        with open(self.folder + "/kafka.pid") as file:
            os.kill(int(file.read()), signal.SIGKILL)
        wait_for("the broker to be gone", lambda: not self.answers(), 30)

    def answers(self):
        return run_quietly([ROOT + "/script/kafka", "status", "--port", str(self.port), "--data",
                            self.folder]).returncode == 0


class Process:
    """One selfheal of the cluster."""

    def __init__(self, world, name):
        self.world = world
        self.name = name
        self.port = free_port()
        self.data = f"{world.folder}/data-{name}"
        os.mkdir(self.data)
        self.config = f"{world.folder}/{name}.yaml"
        self.child = None
        self.log = open(f"{world.folder}/{name}.log", "a")
        self.write_config()

    def write_config(self):
        with open(self.config, "w") as file:
            file.write(CONFIG.format(broker=self.world.broker.port, partitions=PARTITIONS,
                                     name=self.name, data=self.data, folder=self.world.folder,
                                     port=self.port))

    def start(self, skew_seconds=0):
        environment = dict(os.environ)
        environment["SELFHEAL_CLOCK_SKEW_MS"] = str(skew_seconds * 1000)
        self.child = subprocess.Popen([PROGRAM, "run", "--config", self.config],
                                      stdout=subprocess.DEVNULL, stderr=self.log, env=environment)

    def is_running(self):
        return self.child is not None and self.child.poll() is None

    def kill(self):
        self.child.send_signal(signal.SIGKILL)
        self.child.wait(10)

    def terminate(self):
        self.child.send_signal(signal.SIGTERM)
        try:
            return self.child.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()
            return -9

    def readyz(self):
        out = subprocess.run(["curl", "-s", "-m", "5", f"http://127.0.0.1:{self.port}/readyz"],
                             capture_output=True, text=True, check=False).stdout
        return json.loads(out) if out.startswith("{") else {}

    def metrics(self):
        return subprocess.run(["curl", "-s", "-m", "5", f"http://127.0.0.1:{self.port}/metrics"],
                              capture_output=True, text=True, check=False).stdout

    def command(self, *words, timeout=300):
        done = subprocess.run([PROGRAM, *words, "--config", self.config], capture_output=True,
                              text=True, timeout=timeout, check=False)
        return done.returncode, done.stdout, done.stderr


class World:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.folder = tempfile.mkdtemp(prefix="selfheal-soak.")
        for each in ("healed", "playbooks", "actions", "keys"):
            os.mkdir(f"{self.folder}/{each}")
        os.chmod(f"{self.folder}/keys", 0o700)
        self.write("restart.sh", SCRIPT.format(folder=self.folder))
        self.services = [f"service-{number}" for number in range(SERVICES)]
        self.write("graph.yaml", "services:\n" + "".join(
            f"  - {{name: {name}, risk_tier: low}}\n" for name in self.services))
        self.write("policies.yaml", "- action: self_heal_execute\n  decision: allow\n"
                   "  conditions: {impact: [low, medium]}\n")
        thirds = [self.services[i::3] for i in range(3)]
        probe = ("probe: {{run: {{argv: [/usr/bin/test, -e, "
                 '"{folder}/healed/{{{{service}}}}"]}}}}\n').format(folder=self.folder)
        for effect, services in zip(("idempotent", "verifiable", "neither"), thirds):
            self.write(f"playbooks/restart_{effect}.yaml", PLAYBOOK.format(
                name=f"restart_{effect}", scope=", ".join(services), effect=effect,
                folder=self.folder, probe=probe if effect == "verifiable" else ""))
        self.broker = Broker(self.folder)
        self.processes = {name: None for name in NAMES}
        self.emitted = 0
        self.rounds = 0

    def write(self, name, text):
        with open(f"{self.folder}/{name}", "w") as file:
            file.write(text)

    def is_ready(self):
        """Whether some process is."""
        return any(each.readyz().get("status") == "ready" for each in self.processes.values())

    def can_mount(self):
        """Whether this user may put a disk of its own in place of a folder."""
        folder = f"{self.folder}/mounted"
        os.mkdir(folder)
        if os.geteuid() != 0 or run_quietly(
                ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]).returncode != 0:
            return False
        return run_quietly(["umount", folder]).returncode == 0

    def start(self):
        self.broker.script("start")
        for name in NAMES:
            self.processes[name] = Process(self, name)
        first = self.processes[NAMES[0]]
        code, out, error = first.command("topics", "create")
        if code != 0:
            raise AssertionError(f"topics create: {out}{error}")
        for process in self.processes.values():
            process.start()

    def kcat(self, *words, text=None, timeout=20):
        return subprocess.run(["kcat", "-b", f"127.0.0.1:{self.broker.port}", "-q", *words],
                              input=text, capture_output=True, text=True, timeout=timeout,
                              check=False)

    def produce(self, topic, text, *words):
        """True where kcat says that the broker has it."""
        return self.kcat("-P", "-t", f"soak.{topic}", "-X", "topic.message.timeout.ms=8000", *words,
                         text=text).returncode == 0

    def feed(self):
        """One round: some metrics, a few failures, with kcat's own idea of partitions."""
        self.rounds += 1
        lines = []
        for name in self.random.sample(self.services, METRICS_A_ROUND):
            value = 0.2 + 0.01 * self.random.random()
            lines.append(f'{name}\t{{"type":"metric","service":"{name}",'
                         f'"metric":"latency_p99_seconds","value":{value:.4f}}}')
        for name in self.random.sample(self.services, 3):
            try:
                os.remove(f"{self.folder}/healed/{name}")
            except FileNotFoundError:
                pass
            # A third of the services share what is healed with three others: their runs have to
            # exclude each other.
            number = int(name.split("-")[1])
            resource = f',"resource":{{"kind":"host","id":"host-{number // 4}"}}' \
                if number % 12 < 4 else ""
            lines.append(f'{name}\t{{"type":"failure","service":"{name}","code":"service_down",'
                         f'"id":"{name}-{self.rounds}"{resource}}}')
        if self.produce("signals", "\n".join(lines) + "\n", "-K", "\t"):
            self.emitted += len(lines)

    def effects(self):
        try:
            with open(f"{self.folder}/effects") as file:
                return [line.split() for line in file]
        except FileNotFoundError:
            return []

    def close(self, keep):
        for process in self.processes.values():
            if process and process.is_running():
                process.child.send_signal(signal.SIGCONT)
                process.kill()
        try:
            self.broker.script("stop")
        except subprocess.SubprocessError:
            pass
        for name in NAMES:
            run_quietly(["umount", "-l", f"{self.folder}/data-{name}"])
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)


class Feeder(threading.Thread):
    """Feeds until told to stop; a broker that is away costs a round."""

    def __init__(self, world, pause_seconds):
        super().__init__(daemon=True)
        self.world = world
        self.pause_seconds = pause_seconds
        self.ended = threading.Event()

    def run(self):
        while not self.ended.wait(self.pause_seconds):
            try:
                self.world.feed()
            except subprocess.TimeoutExpired:
                pass

    def stop(self):
        self.ended.set()
        self.join(60)
