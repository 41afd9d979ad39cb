"""Kafka is away for long; then comes what was meant for that time, as a backlog.

Nothing may be taken for ill, dead or unhealed because nobody could be heard: limits are short, so
that the outage is long in their terms.
"""
import json
import os
import subprocess
import threading
import time

from cluster import Cluster
from support import Broker, check, run, wait_for

OUTAGE_SECONDS = 20

STEADY = ["steady-%d" % number for number in range(6)]
PATIENTS = ["watched", "running"]

# Its verification hears of the recovery on the stream alone; 12 s are less than the outage.
PLAYBOOK = """\
name: {name}
risk: low
auto_approve: true
triggers: [{name}]
effect: neither
prior: {{mean: 0.9, weight: 8}}
steps:
  - run: {{argv: [/bin/sh, {script}, "{{{{service}}}}"], timeout: 60s}}
verify:
  - {{metric: up, op: gte, value: 1, for: 1s, within: 12s}}
"""

SCALED_DOWN = """\
predictor:
  bucket: 1s
  warm_up: 3s
  rules:
    - {code: service_down, metric: up, op: lt, value: 1, for: 2s}
    - {code: degraded, metric: load, op: gt, value: 1000}
"""


class Probes(threading.Thread):
    """Each service says twice a second that it is up, a patient only once it is well.

    What cannot be sent is kept and sent later, with the time that it was meant for.
    """

    def __init__(self, cluster, patients_are_well):
        super().__init__(daemon=True)
        self.kcat = ["kcat", "-b", cluster.brokers, "-q", "-P", "-K", "\t", "-X",
                     "topic.message.timeout.ms=3000", "-t", cluster.first.prefix + ".signals"]
        self.patients_are_well = patients_are_well
        self.next_ms = int(time.time() * 1000)
        self.kept = []
        self.sent = 0
        self.late = 0  # of which so many waited for longer than half of the outage
        self.ended = threading.Event()

    def observe(self):
        names = STEADY + (PATIENTS if self.patients_are_well() else [])
        while self.next_ms <= time.time() * 1000:
            for name in names:
                signal = {"service": name, "time_ms": self.next_ms}
                self.kept += [
                    (name, {"type": "metric", "metric": "up", "value": 1, **signal}),
                    (name, {"type": "metric", "metric": "latency_p99_seconds",
                            "value": 0.2 + 0.01 * (self.next_ms // 500 % 3), **signal}),
                    (name, {"type": "heartbeat", "worker": "worker-of-" + name, **signal})]
            self.next_ms += 500

    def deliver(self):
        text = "".join(f"{name}\t{json.dumps(signal)}\n" for name, signal in self.kept)
        done = subprocess.run(self.kcat, input=text, text=True, timeout=60, check=False,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if done.returncode != 0:
            return False
        long_ago_ms = time.time() * 1000 - OUTAGE_SECONDS * 500
        self.late += sum(signal["time_ms"] < long_ago_ms for _, signal in self.kept)
        self.sent += len(self.kept)
        self.kept = []
        return True

    def run(self):
        while not self.ended.wait(0.25):
            self.observe()
            self.deliver()

    def stop(self):
        self.ended.set()
        self.join(60)


def patients_of(cluster):
    first = cluster.first
    log = f'echo "$SELF_HEAL_ACTION_ID $SELF_HEAL_ATTEMPT $1" >> {first.effects}\n'
    # One is watched when Kafka goes, the other one's step ends while it is away.
    scripts = {"watched": log, "running": log +
               f"while [ -d {first.folder} ] && [ ! -e {first.folder}/away ]; do sleep 0.1; done\n"
               "sleep 2\n"}
    for name, script in scripts.items():
        path = first.write(name + ".sh", script)
        for member in cluster.members.values():
            member.write(f"playbooks/{name}.yaml", PLAYBOOK.format(name=name, script=path))
    for member in cluster.members.values():
        member.write("graph.yaml", "services:\n" + "".join(
            f"  - {{name: {name}, risk_tier: low}}\n" for name in STEADY + PATIENTS))
        with open(member.config, "a") as file:
            file.write(SCALED_DOWN)


def effects_of(cluster, service):
    return [line for line in cluster.first.effect_lines() if line.split()[2] == service]


def an_outage_makes_nobody_ill():
    broker = Broker()
    broker.script("start")
    cluster = Cluster(["a", "b"], brokers=broker.address)
    away = os.path.join(cluster.first.folder, "away")
    sender = None
    try:
        patients_of(cluster)
        cluster["a"].start()
        cluster["b"].start()
        wait_for("b to follow", lambda: cluster.follows("b"))
        sender = Probes(cluster, lambda: os.path.exists(away))
        sender.start()
        wait_for("every series to be warm", lambda: sender.sent > 10 * 3 * len(STEADY))
        for name in PATIENTS:
            cluster["a"].post("/api/signals", json.dumps(
                {"type": "failure", "service": name, "code": name, "id": name}))
        wait_for("both steps to begin", lambda: all(effects_of(cluster, each) for each in PATIENTS))
        wait_for("the first to be watched", lambda: any(
            each["service"] == "watched" and each["state"] == "verifying"
            for each in cluster["a"].incidents()))

        began = time.monotonic()
        broker.script("stop")
        cluster.first.write("away", "")
        wait_for("/readyz to say so", lambda: all(
            cluster[name].answers("/readyz")[0] == 503 for name in "ab"), 40)
        wait_for("a long time to pass", lambda: time.monotonic() - began > OUTAGE_SECONDS,
                 2 * OUTAGE_SECONDS)
        check(all(each.process.poll() is None for each in cluster.members.values()), "all wait")
        broker.script("start")
        wait_for("every shard to be owned", lambda: cluster.is_whole(["a", "b"]), 60)
        wait_for("both to be well", lambda: all(
            each["state"] == "closed" for each in cluster["a"].incidents()), 40)
        sender.stop()
        wait_for("the last signals to be sent", sender.deliver)
        cluster["b"].stop()
        inputs = cluster.everything_is_taken("a")
        check(inputs >= sender.sent and sender.late > 100,
              f"{sender.sent} signals were sent, {sender.late} of them long after their time")
        incidents = cluster["a"].incidents()
        check(sorted((each["service"], each["outcome"]) for each in incidents) ==
              [("running", "recovered"), ("watched", "recovered")],
              f"only who was ill before was healed, and found well: {incidents}")
        for name in PATIENTS:
            check(len(effects_of(cluster, name)) == 1, f"{name}: once")
        cluster["a"].stop()
        audit = json.loads(cluster.first.command("audit", "verify", "--deep", "--ended", "--json"))
        check(audit["holds"], f"the audit holds: {audit}")
        check(audit["inputs"] == inputs, f"{inputs} inputs, each once: {audit['inputs']}")
        replay = json.loads(cluster.first.command("replay", "--json"))
        check(replay["differing"] == 0 and replay["compared"] > 0, f"replay is equal: {replay}")
    except AssertionError as failure:
        raise AssertionError(f"{failure}\n" + "\n".join(
            f"{name}: {member.logs()}" for name, member in cluster.members.items())) from None
    finally:
        if sender:
            sender.stop()
        cluster.close()
        broker.close()


run(an_outage_makes_nobody_ill)
