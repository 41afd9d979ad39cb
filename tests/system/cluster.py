"""Several processes on one Kafka, as the system tests use them."""
import json
import os
import signal
import subprocess
import threading

from support import Service, wait_for, wait_until_taken

BROKERS = os.environ["SELFHEAL_TEST_KAFKA"]
PARTITIONS = 4
SHARDS = PARTITIONS + 1  # the fleet's is the last


class Cluster:
    """Processes with one bus, one set of keys and one folder of action files, as on one machine."""

    def __init__(self, names, share_actions=True, brokers=BROKERS, **options):
        self.members = {}
        self.brokers = brokers
        first = None
        for name in names:
            member = Service(bus="kafka", brokers=brokers, partitions=PARTITIONS, **options)
            if first is None:
                first = member
            with open(member.config) as file:
                text = file.read()
            text = text.replace(f"prefix: {member.prefix}", f"prefix: {first.prefix}")
            text += f"instance: {name}\nkeys_dir: {first.folder}/keys\n"
            if share_actions:
                text += f"actions_dir: {first.folder}/actions\n"
            for ours, shared in ((member.folder + "/restart.sh", first.folder + "/restart.sh"),
                                 (member.healed, first.healed)):
                path = member.folder + "/playbooks/restart_service.yaml"
                with open(path) as file:
                    playbook = file.read().replace(ours, shared)
                with open(path, "w") as file:
                    file.write(playbook)
            with open(member.config, "w") as file:
                file.write(text)
            self.members[name] = member
        self.first = first
        self.first.command("topics", "create")

    def __getitem__(self, name):
        return self.members[name]

    def shards(self, name):
        status, body = self[name].answers("/readyz")
        return json.loads(body)["shards"] if status else []

    def owned(self, name):
        return [each["shard"] for each in self.shards(name) if each["state"] == "live"]

    def is_whole(self, names):
        """Every shard is live in exactly one of them."""
        owned = [shard for name in names for shard in self.owned(name)]
        return sorted(owned) == list(range(SHARDS))

    def incidents_closed(self, name, count):
        def closed():
            states = [each["state"] for each in self[name].incidents()]
            return len(states) >= count and all(state == "closed" for state in states)
        wait_for(f"{count} closed incidents", closed, 60)

    def fall_ill(self, name, number, service="payments", **more):
        if os.path.exists(self.first.healed):
            os.remove(self.first.healed)
        self[name].post("/api/signals", json.dumps({
            "type": "failure", "service": service, "code": "service_down", "id": f"f{number}",
            **more}))

    def follows(self, name):
        """It has every shard, as its owner or at the end of its journal."""
        states = [each["state"] for each in self.shards(name)]
        return len(states) == SHARDS and all(state in ("live", "standby") for state in states)

    def kcat(self, *words):
        done = subprocess.run(["kcat", "-b", self.brokers, "-q", *words], capture_output=True,
                              text=True, timeout=60)
        if done.returncode != 0:
            raise AssertionError(f"kcat {words}: {done.stderr}")
        return done.stdout

    def input_ends(self):
        """How many inputs are on the topics, by partition."""
        inputs = [f"{self.first.prefix}.{topic}:{partition}" for topic in ("signals", "control")
                  for partition in range(PARTITIONS)]
        return [int(self.kcat("-Q", "-t", f"{each}:-1").rsplit(" ", 1)[-1])
                for each in [*inputs, f"{self.first.prefix}.fleet.control:0"]]

    def everything_is_taken(self, name, seconds=60):
        """Waits until `name`, alone, has decided on every input; how many there were."""
        return sum(wait_until_taken("every input to be decided on",
                                    lambda: self[name].get("/metrics"), self.input_ends, SHARDS,
                                    seconds))

    def close(self):
        for member in self.members.values():
            if member.process and member.process.poll() is None:
                member.process.send_signal(signal.SIGCONT)
            member.close()


class Sender(threading.Thread):
    """Sends metrics at a steady rate, with kcat's own idea of partitions, until it is stopped."""

    def __init__(self, cluster, services, pause_seconds=0.1):
        super().__init__(daemon=True)
        self.services = services
        self.pause_seconds = pause_seconds
        self.sent = 0
        self.ended = threading.Event()
        self.kcat = subprocess.Popen(
            ["kcat", "-b", cluster.brokers, "-P", "-K", "\t", "-t", cluster.first.prefix + ".signals"],
            stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def run(self):
        while not self.ended.wait(self.pause_seconds):
            for name in self.services:
                signal_text = json.dumps({"type": "metric", "service": name, "metric": "load",
                                          "value": self.sent % 7})
                self.kcat.stdin.write(f"{name}\t{signal_text}\n")
                self.sent += 1
            self.kcat.stdin.flush()

    def stop(self):
        """How many it has sent, all of which are on the topic now."""
        self.ended.set()
        self.join(30)
        self.kcat.stdin.close()
        if self.kcat.wait(60) != 0:
            raise AssertionError("kcat could not deliver all signals")
        return self.sent
