"""Chaos on a real Kafka, and the proof that nothing was lost and nothing done twice.

Usage: soak.py [--minutes N] [--kills N] [--seed S] [--calm] [--report FILE.json] [--keep]

Three processes heal sick services while they are killed, stopped for seconds and started again with
clocks that are wrong, the broker is killed, old journal records are appended again, forged control
messages arrive, and a disk is full for a while. Then everything is left alone: every incident has to
end or be in doubt, and the topics have to tell the same story as the effects that were counted.
Exit 1 where anything does not hold. The seed decides what happens, not exactly when.
"""
import argparse
import collections
import json
import os
import signal
import statistics
import subprocess
import sys
import time

from world import NAMES, PARTITIONS, SHARDS, Feeder, World, wait_for, wait_until_taken

CALM_SECONDS = 240
GROWTH_MAX = 0.02


class Chaos:
    def __init__(self, world):
        self.world = world
        self.random = world.random
        self.counts = collections.Counter()
        self.left_out = [] if world.can_mount() else ["a disk that is lost or full: needs to mount"]
        for each in self.left_out:
            print(f"left out: {each}", flush=True)
        self.stopped = {}  # name -> when it goes on
        self.down = {}     # name -> (when it starts again, its skew)

    def running(self):
        return [name for name, process in self.world.processes.items()
                if process.is_running() and name not in self.stopped]

    def step(self):
        """What is due, and then one thing more."""
        now = time.monotonic()
        for name in [name for name, due in self.stopped.items() if due <= now]:
            self.world.processes[name].child.send_signal(signal.SIGCONT)
            del self.stopped[name]
        for name, process in self.world.processes.items():
            if not process.is_running() and name not in self.down and name not in self.stopped:
                self.counts["ended by itself"] += 1
                self.down[name] = (now, 0)
        for name in [name for name, (due, _) in self.down.items() if due <= now]:
            self.world.processes[name].start(self.down.pop(name)[1])
        dice = self.random.random()
        if dice < 0.62:
            self.kill()
        elif dice < 0.82:
            self.stop()
        elif dice < 0.90:
            self.append_old_records()
        elif dice < 0.97:
            self.forge()
        elif dice < 0.985:
            self.kill_broker()
        else:
            self.fill_disk()

    def kill(self):
        names = self.running()
        if not names:
            return
        name = self.random.choice(names)
        self.world.processes[name].kill()
        skew = self.random.choice((0, 0, 0, 3600, -3600))
        self.down[name] = (time.monotonic() + self.random.uniform(0, 1.5), skew)
        self.counts["kills"] += 1
        self.counts["starts with a clock an hour off"] += 1 if skew else 0

    def stop(self):
        names = self.running()
        if not names:
            return
        name = self.random.choice(names)
        self.world.processes[name].child.send_signal(signal.SIGSTOP)
        self.stopped[name] = time.monotonic() + self.random.uniform(7, 10)
        self.counts["stops"] += 1

    def append_old_records(self):
        """What a producer of long ago may still have had on its way."""
        partition = str(self.random.randrange(PARTITIONS))
        back = str(-self.random.randrange(1, 200))
        old = self.world.kcat("-C", "-t", "soak.journal", "-p", partition, "-o", back, "-e",
                              "-c", "20").stdout
        lines = old.splitlines()
        if lines and self.world.produce("journal", "\n".join(lines) + "\n", "-p", partition):
            self.counts["old journal records appended"] += len(lines)

    def forge(self):
        message = {"kind": self.random.choice(("approve", "resolve", "forward", "nonsense")),
                   "target": "proposal-1", "key_id": "operator", "nonce": "00" * 16,
                   "time_ms": int(time.time() * 1000), "signature": "ab" * 64,
                   "body": '{"type":"failure","service":"service-1","code":"service_down"}'}
        partition = str(self.random.randrange(PARTITIONS))
        if self.world.produce("control", json.dumps(message) + "\n", "-p", partition):
            self.counts["forged control messages"] += 1

    def kill_broker(self):
        self.world.broker.kill()
        time.sleep(self.random.uniform(0.2, 3))
        self.world.broker.script("start")
        self.counts["broker kills"] += 1

    def fill_disk(self):
        """The data folder of a process that starts anew is a small disk, and full for a while."""
        names = self.running()
        if not names or self.left_out:
            return
        process = self.world.processes[self.random.choice(names)]
        process.kill()
        self.counts["kills"] += 1
        if not os.path.ismount(process.data):
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", process.data],
                           check=True)
            self.counts["disks lost"] += 1
        process.start()
        time.sleep(self.random.uniform(0.5, 2))
        filler = os.open(process.data + "/filler", os.O_CREAT | os.O_WRONLY)
        try:
            while True:
                os.write(filler, b"x" * 65536)
        except OSError:
            pass
        os.close(filler)
        self.counts["disks filled"] += 1
        time.sleep(self.random.uniform(1, 3))
        os.remove(process.data + "/filler")

    def end(self):
        for name in list(self.stopped):
            self.world.processes[name].child.send_signal(signal.SIGCONT)
        self.stopped.clear()
        for process in self.world.processes.values():
            if not process.is_running():
                process.start()


class Verdict:
    """What has to hold at the end, and once everything is calm."""

    def __init__(self, world):
        self.world = world
        self.findings = []
        self.numbers = {}

    def expect(self, holds, what):
        if not holds:
            self.findings.append(what)

    def incidents(self):
        """All of them; None where the process asked does not know all yet, or does not answer."""
        code, out, error = self.world.processes["a"].command("incidents", "list", "--json")
        if code != 0 or "does not know everything yet" in error:
            return None
        return [json.loads(line) for line in out.splitlines()]

    def audit_running(self):
        """Signals still come, runs go on, and what is audited goes on being written."""
        # Not all of them: one whose disk became full in the middle of a write is not ready before
        # its next start.
        wait_for("a process to be ready", self.world.is_ready, 120)
        code, out, error = self.world.processes["a"].command("audit", "verify", "--deep", "--json",
                                                             timeout=1800)
        audit = json.loads(out) if out.startswith("{") else {}
        self.numbers["audit of the running cluster"] = {
            key: audit.get(key) for key in ("holds", "batches", "inputs", "decisions")}
        self.expect(code == 0, f"audit of the running cluster: exit {code}, "
                    f"{audit.get('violations', [])[:5]} {error[-500:]}")

    def calm(self):
        def quiet():
            listed = self.incidents()
            return listed is not None and all(
                each["state"] in ("closed", "escalated", "in_doubt") for each in listed)
        try:
            wait_for("every incident to end", quiet, CALM_SECONDS)
        except AssertionError:
            left = [each for each in self.incidents() or []
                    if each["state"] not in ("closed", "escalated", "in_doubt")]
            self.findings.append(f"{len(left)} incidents did not end: {left[:3]}")
        states = collections.Counter(each["state"] for each in self.incidents() or [])
        self.numbers["incidents"] = dict(states)

    def judge(self):
        for name in NAMES:
            code = self.world.processes[name].terminate()
            self.expect(code == 0, f"process {name} did not stop cleanly: exit {code}")
        self.take_what_is_on_its_way()
        process = self.world.processes["a"]
        effects = f"{self.world.folder}/effects.json"
        with open(effects, "w") as file:
            for action, attempt, _ in self.world.effects():
                file.write(json.dumps({"action_id": action, "attempt": int(attempt)}) + "\n")
        code, out, error = process.command("audit", "verify", "--deep", "--ended", "--effects",
                                           effects, "--json", timeout=1800)
        audit = json.loads(out) if out.startswith("{") else {}
        self.numbers["audit"] = {key: value for key, value in audit.items() if key != "violations"}
        self.expect(code in (0, 1) and audit, f"the audit did not run: {error[-500:]}")
        for violation in audit.get("violations", [])[:20]:
            self.findings.append(f"audit: {violation}")
        code, out, error = process.command("replay", "--json", timeout=1800)
        replay = json.loads(out) if out.startswith("{") else {}
        self.numbers["replay"] = replay
        self.expect(replay.get("differing") == 0, f"replay: {out}{error[-500:]}")
        self.count_effects()
        self.count_inputs(audit)

    def take_what_is_on_its_way(self):
        """Messages between shards that one had sent and the other, already stopped, had not taken."""
        process = self.world.processes["a"]
        process.start()
        wait_until_taken("one process to take all that is left", process.metrics, self.input_ends,
                         SHARDS, 120)
        self.expect(process.terminate() == 0, "the last process did not stop cleanly")

    def count_effects(self):
        effects = self.world.effects()
        by_action = collections.Counter(line[0] for line in effects)
        number_of = {name: int(name.split("-")[1]) for name in self.world.services}
        twice = [line for line in effects
                 if by_action[line[0]] > 1 and number_of[line[2]] % 3 != 0]
        self.numbers["effects"] = len(effects)
        self.numbers["effects repeated under one key, where that is allowed"] = \
            len(effects) - len(by_action)
        self.expect(not twice, f"effects that happened twice: {twice[:5]}")

    def input_ends(self):
        """How many inputs are on the topics, by partition."""
        ends = []
        inputs = [f"soak.{topic}:{partition}" for topic in ("signals", "control")
                  for partition in range(PARTITIONS)]
        for each in [*inputs, "soak.fleet.control:0"]:
            out = self.world.kcat("-Q", "-t", f"{each}:-1").stdout
            ends.append(int(out.rsplit(" ", 1)[-1]) if out.strip() else 0)
        return ends

    def count_inputs(self, audit):
        ends = sum(self.input_ends())
        taken = audit.get("inputs", 0) + audit.get("skipped", 0)
        self.numbers["inputs on the topics"] = ends
        self.expect(taken == ends, f"{ends} inputs are on the topics, {taken} were decided on")


def resident_kilobytes(process):
    try:
        with open(f"/proc/{process.child.pid}/status") as file:
            for line in file:
                if line.startswith("VmRSS"):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0


def live_calmly(options, world, verdict):
    """Nobody is harmed: what a process needs after a third of the time it must not outgrow later."""
    samples = collections.defaultdict(list)
    began = time.monotonic()
    while time.monotonic() - began < options.minutes * 60:
        time.sleep(10)
        for name, process in world.processes.items():
            samples[name].append(resident_kilobytes(process))
        if len(samples["a"]) % 6 == 0:
            print(f"{(time.monotonic() - began) / 60:.1f} min: resident kilobytes "
                  f"{ {name: each[-1] for name, each in samples.items()} }", flush=True)
    growth = {}
    for name, each in samples.items():
        tenth = max(1, len(each) // 10)
        warm = statistics.median(each[len(each) // 3:][:tenth])
        growth[name] = round(statistics.median(each[-tenth:]) / warm - 1, 4)
    print(f"resident growth: {growth}", flush=True)
    verdict.numbers["resident growth"] = growth
    verdict.expect(max(growth.values()) < GROWTH_MAX, f"memory grows: {growth}")


def soak(options, world):
    chaos = Chaos(world)
    verdict = Verdict(world)
    world.start()
    wait_for("a process to be ready", world.is_ready, 120)
    feeder = Feeder(world, 0.25)
    feeder.start()
    began = time.monotonic()
    told = began
    if options.calm:
        live_calmly(options, world, verdict)
    while time.monotonic() - began < options.minutes * 60:
        if options.kills and chaos.counts["kills"] >= options.kills:
            break
        chaos.step()
        time.sleep(world.random.uniform(0.1, options.pause))
        if time.monotonic() - told > 30:
            told = time.monotonic()
            print(f"{(told - began) / 60:.1f} min: {dict(chaos.counts)}, "
                  f"{world.emitted} signals, {len(world.effects())} effects", flush=True)
    chaos.end()
    verdict.audit_running()
    feeder.stop()
    verdict.calm()
    verdict.numbers["resident kilobytes"] = {
        name: resident_kilobytes(process) for name, process in world.processes.items()}
    lapses = [line for process in world.processes.values()
              for line in process.metrics().splitlines()
              if line.startswith(("self_heal_member_lapses", "self_heal_takeovers_total"))]
    verdict.numbers["since the last starts"] = lapses
    verdict.judge()
    return {"seed": options.seed, "minutes": round((time.monotonic() - began) / 60, 1),
            "signals emitted": world.emitted, **dict(chaos.counts), "left out": chaos.left_out,
            **verdict.numbers,
            "findings": verdict.findings}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--kills", type=int, default=0, help="end after as many (0: no limit)")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--pause", type=float, default=2.5, help="longest between two blows, seconds")
    parser.add_argument("--calm", action="store_true",
                        help="no blows: the same load, and memory that has to stay flat")
    parser.add_argument("--report")
    parser.add_argument("--keep", action="store_true", help="keep the folder with logs and topics")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    world = World(options.seed)
    report = {"findings": ["the soak itself failed"]}
    try:
        report = soak(options, world)
    finally:
        keep = options.keep or bool(report["findings"])
        world.close(keep)
        if keep:
            print(f"kept: {world.folder}", flush=True)
    print(json.dumps(report, indent=1), flush=True)
    if options.report:
        with open(options.report, "w") as file:
            json.dump(report, file, indent=1)
    for finding in report["findings"]:
        print("FINDING:", finding, flush=True)
    print("every input was decided on once, and nothing was done twice" if not report["findings"]
          else f"{len(report['findings'])} findings", flush=True)
    return 1 if report["findings"] else 0


if __name__ == "__main__":
    sys.exit(main())
