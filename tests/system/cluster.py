"""Several processes on one Kafka, as the system tests use them."""
import json
import os
import signal

from support import Service, wait_for

BROKERS = os.environ["SELFHEAL_TEST_KAFKA"]
PARTITIONS = 4
SHARDS = PARTITIONS + 1  # the fleet's is the last


class Cluster:
    """Processes with one bus, one set of keys and one folder of action files, as on one machine."""

    def __init__(self, names, share_actions=True, **options):
        self.members = {}
        first = None
        for name in names:
            member = Service(bus="kafka", brokers=BROKERS, partitions=PARTITIONS, **options)
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

    def close(self):
        for member in self.members.values():
            if member.process and member.process.poll() is None:
                member.process.send_signal(signal.SIGCONT)
            member.close()
