"""What the system tests share: a service in a temporary folder, as a user would run it.

Everything is on loopback and on free ports; every process is ended by its id. Waiting is always for a
condition, with a deadline.
"""
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

PROGRAM = os.environ.get("SELFHEAL_PROGRAM", "build/release/selfheal")
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def free_port():
    """A port that is free, and so is the next one, which a broker's controller takes.

    Below the range from which the kernel takes the ports of outgoing connections: a client that keeps
    asking for a server that is not there yet would at some time be given the server's own port.
    """
    while True:
        port = random.randrange(20000, 32000)
        try:
            with socket.socket() as first, socket.socket() as second:
                first.bind(("127.0.0.1", port))
                second.bind(("127.0.0.1", port + 1))
                return port
        except OSError:
            continue


def wait_for(what, condition, seconds=30):
    """The first true value of condition(), or a failure that says what was waited for."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"timed out waiting for {what}")
        time.sleep(0.05)


LOOKS = 5  # in a row that find nothing new


def wait_until_taken(what, metrics, input_ends, shards, seconds):
    """Waits until a process has decided on every input; the ends of the topics at that time.

    What is taken may say something to another shard, and what has just come is not waiting yet:
    several looks in a row have to find the same.
    """
    ends, looks = None, 0

    def taken():
        nonlocal ends, looks
        waiting = [line for line in metrics().splitlines()
                   if line.startswith("self_heal_lag_records")]
        nothing_waits = len(waiting) == shards and all(line.endswith(" 0") for line in waiting)
        before, ends = ends, input_ends()
        looks = looks + 1 if nothing_waits and before == ends else 0
        return looks >= LOOKS
    wait_for(what, taken, seconds)
    return ends


def check(holds, what):
    if not holds:
        raise AssertionError(what)
    print("ok:", what)


PLAYBOOK = """\
name: restart_service
title: Restart service
risk: {risk}
auto_approve: {automatic}
triggers: [service_down]
effect: {effect}
{probe}prior: {{mean: 0.9, weight: 8}}
steps:
  - name: restart
    run:
      argv: [/bin/sh, {script}, "{{{{service}}}}"]
      timeout: 20s
verify:
  - {{run: {{argv: [/usr/bin/test, -e, {healed}]}}, within: 15s}}
"""

PROBE = """\
probe: [{{run: {{argv: [/usr/bin/test, -e, {healed}]}}}}]
"""

PUBLISHES = """\
name: restart_service
risk: low
auto_approve: true
triggers: [service_down]
effect: {effect}
prior: {{mean: 0.9, weight: 8}}
steps:
  - name: tell
    publish: {{topic: {topic}, key: "{{{{service}}}}", value: '{{"restart": true}}'}}
"""

SCRIPT = """\
# Leaves one line a run, so that "once" can be counted; takes a moment, so that it can be interrupted.
echo "$SELF_HEAL_ACTION_ID $SELF_HEAL_ATTEMPT $1" >> {effects}
sleep {seconds}
touch {healed}
"""

GRAPH = """\
services:
  - {name: checkout, risk_tier: high, depends_on: [payments]}
  - {name: payments, risk_tier: high}
  - {name: other, risk_tier: low}
"""

POLICIES = """\
- action: self_heal_execute
  decision: allow
  conditions: {impact: [low, medium], blast_radius: {lte: 2}, confidence: {gte: 0.7}, change_window: True}
"""


class Service:
    """A configured service; start() and kill() as often as wanted."""

    def __init__(self, bus="embedded", brokers="", effect="idempotent", automatic=True,
                 step_seconds=0.3, mode="execute", partitions=2):
        self.folder = tempfile.mkdtemp(prefix="selfheal-system.")
        self.process = None
        self.program = PROGRAM  # of the next start, and of commands
        self.port = free_port()
        self.effects = os.path.join(self.folder, "effects")
        self.healed = os.path.join(self.folder, "healed")
        os.mkdir(os.path.join(self.folder, "playbooks"))
        script = self.write("restart.sh", SCRIPT.format(effects=self.effects, healed=self.healed,
                                                        seconds=step_seconds))
        self.write("playbooks/restart_service.yaml",
                   PLAYBOOK.format(risk="low" if automatic else "moderate",
                                   automatic=str(automatic).lower(), effect=effect, script=script,
                                   probe=PROBE.format(healed=self.healed)
                                   if effect == "verifiable" else "",
                                   healed=self.healed))
        self.write("graph.yaml", GRAPH)
        self.write("policies.yaml", POLICIES)
        prefix = "t" + os.path.basename(self.folder).split(".")[-1].lower().replace("_", "x")
        self.prefix = prefix
        self.config = self.write("service.yaml", f"""\
bus: {{kind: {bus}, brokers: "{brokers}"}}
topics: {{prefix: {prefix}, partitions: {partitions}}}
data_dir: {self.folder}/data
http: {{listen: "127.0.0.1:{self.port}"}}
mode: {mode}
playbooks_dir: playbooks
policies_file: policies.yaml
graph_file: graph.yaml
run: {{probe_interval: 250ms}}
limits: {{backoff_base: 1s}}
""")

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def finish(self, *arguments, expect=0, stdin=None, config=True):
        words = [self.program, *arguments]
        if config:
            words += ["--config", self.config]
        done = subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=60)
        if expect is not None and done.returncode != expect:
            raise AssertionError(f"{' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def command(self, *arguments, **options):
        return self.finish(*arguments, **options).stdout

    def complaint(self, *arguments, **options):
        """What a command that must fail says of it."""
        return self.finish(*arguments, **options).stderr

    def spawn(self, environment=None):
        """Starts the service without waiting until it is ready."""
        self.log = open(os.path.join(self.folder, "service.log"), "a")
        self.process = subprocess.Popen([self.program, "run", "--config", self.config],
                                        stdout=subprocess.PIPE, stderr=self.log, text=True,
                                        env={**os.environ, **(environment or {})})

    def start(self, environment=None):
        self.spawn(environment)
        line = self.process.stdout.readline()
        if not line.startswith("ready"):
            self.process.wait(10)
            raise AssertionError(f"no ready line but {line!r}; see\n" + self.logs())
        return line

    def logs(self):
        with open(os.path.join(self.folder, "service.log")) as file:
            return file.read()[-5000:]

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(20)
        if code != 0:
            raise AssertionError(f"SIGTERM: exit {code}\n" + self.logs())

    def answers(self, path):
        """Status and body of a GET, or (0, reason) where nobody listens yet."""
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError as failure:
            return 0, str(failure)

    def get(self, path, expect=200):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read().decode()
        if expect is not None and answer.status != expect:
            raise AssertionError(f"GET {path}: {answer.status} {body}")
        return json.loads(body) if "json" in (answer.getheader("content-type") or "") else body

    def post(self, path, body, expect=202, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("POST", path, body, headers or {})
        answer = connection.getresponse()
        text = answer.read().decode()
        if expect is not None and answer.status != expect:
            raise AssertionError(f"POST {path}: {answer.status} {text}")
        return json.loads(text) if text else None

    def incidents(self):
        listed = self.command("incidents", "list", "--json")
        return [json.loads(line) for line in listed.splitlines()]

    def runs(self, state=""):
        listed = self.command("runs", "list", "--json", "--state", state)
        return [json.loads(line) for line in listed.splitlines()]

    def incident(self, state, seconds=40):
        def found():
            for incident in self.incidents():
                if incident.get("state") == state:
                    return incident
        try:
            return wait_for(f"an incident in state {state}", found, seconds)
        except AssertionError as failure:
            raise AssertionError(f"{failure}; there are {self.incidents()}\n{self.logs()}") from None

    def effect_lines(self):
        try:
            with open(self.effects) as file:
                return file.read().splitlines()
        except FileNotFoundError:
            return []

    def close(self):
        if self.process and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Broker:
    """A Kafka of this test alone, to be stopped at will."""

    def __init__(self):
        self.port = free_port()
        self.folder = tempfile.TemporaryDirectory(prefix="selfheal-broker.")
        self.address = f"127.0.0.1:{self.port}"

    def script(self, word):
        subprocess.run([os.path.join(ROOT, "script/kafka"), word, "--port", str(self.port), "--data",
                        self.folder.name + "/kafka"], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, timeout=120)

    def logs(self):
        with open(self.folder.name + "/kafka/kafka.log") as file:
            return file.read()[-3000:]

    def close(self):
        self.script("stop")
        self.folder.cleanup()


def run(*tests):
    """Runs the tests of a file; exit 1 where one fails."""
    code = 0
    for test in tests:
        print("==", test.__name__, flush=True)
        try:
            test()
        except Exception as failure:  # noqa: BLE001 - every failure is reported the same way
            print("FAILED:", test.__name__, failure, flush=True)
            code = 1
    sys.exit(code)
