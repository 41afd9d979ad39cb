"""A rolling upgrade to a build of another fold version, and back again, while signals go on.

SELFHEAL_NEXT_PROGRAM is the same source with another fold (tests/upgrade/next_fold.cpp): what the
two decide from equal inputs may not be compared, and what events say has to stay.
"""
import datetime
import json
import os
import re
import subprocess

from cluster import SHARDS, Cluster, Sender
from support import PROGRAM, check, run, wait_for

NEXT_PROGRAM = os.environ.get(
    "SELFHEAL_NEXT_PROGRAM", os.path.join(os.path.dirname(PROGRAM), "tests", "selfheal_next_fold"))

PLAYBOOK = """\
name: {name}
risk: {risk}
auto_approve: {automatic}
triggers: [{trigger}]
effect: neither
prior: {{mean: 0.9, weight: 8}}
steps:
  - run: {{argv: [/bin/sh, {script}, "{{{{service}}}}"], timeout: 5m}}
"""

SERVICES = ("payments", "approved", "busy", "hopeless", "watched")
GRAPH = "services:\n" + "".join(f"  - {{name: {name}, risk_tier: low}}\n" for name in SERVICES)


def two_of_this_build():
    cluster = Cluster(["a", "b"], effect="neither")
    first = cluster.first
    log = f'echo "$SELF_HEAL_ACTION_ID $SELF_HEAL_ATTEMPT $1" >> {first.effects}\n'
    scripts = {
        "ask_first": ("moderate", "ask", log),
        "take_long": ("low", "busy",
                      log + f"while [ -d {first.folder} ] && [ ! -e {first.folder}/go ]; do "
                      "sleep 0.1; done\n"),
        "give_up": ("low", "hopeless", log + "exit 1\n"),
    }
    # Verified for long: what has held so far is known only to who has looked.
    scripts["look_long"] = ("low", "watched", log)
    verify = "verify:\n  - {run: {argv: [/bin/true]}, for: 30s, within: 5m}\n"
    for name, (risk, trigger, script) in scripts.items():
        path = first.write(name + ".sh", script)
        for member in cluster.members.values():
            member.write(f"playbooks/{name}.yaml", PLAYBOOK.format(
                name=name, risk=risk, automatic=str(risk == "low").lower(), trigger=trigger,
                script=path) + (verify if name == "look_long" else ""))
    for member in cluster.members.values():
        member.write("graph.yaml", GRAPH)
        with open(member.config, "a") as file:
            file.write("breaker: {failures: 1, reset: 1h}\n")
    return cluster


def objects(text):
    return [json.loads(line) for line in text.splitlines()]


def lasting(cluster, name):
    """What has to be the same whoever has decided it, as `name` shows it."""
    member = cluster[name]
    found = {what: objects(member.command(what, "list", "--json"))
             for what in ("incidents", "proposals", "runs", "breakers", "locks")}
    # Looks go on, and move an incident that is watched.
    found["incidents"] = sorted(
        [{key: value for key, value in each.items()
          if key not in ("updated_ms", "timeline_entries")}
         for each in found["incidents"]], key=lambda each: each["id"])
    found["posteriors"] = {each["name"]: each["learned"] for each in member.get("/api/playbooks")}
    return found


def settled(cluster, name):
    """What lasts, once nothing moves but what is meant to go on."""
    wait_for("every other lock to be free", lambda: sorted(
        each["service"] for each in objects(cluster[name].command("locks", "list", "--json")))
        == ["busy", "watched"])
    return lasting(cluster, name)


def same_everywhere(cluster, before, what):
    for name in cluster.members:
        def caught_up(name=name):
            return lasting(cluster, name) == before
        try:
            wait_for(what, caught_up, 10)
        except AssertionError:
            after = lasting(cluster, name)
            for key, value in before.items():
                check(after[key] == value, f"{what}: {key} of {name}: {after[key]}, before {value}")
            raise
    check(True, what)


def roll(cluster, program, between=lambda: None):
    """One after the other is stopped and started again with the other program."""
    for number, name in enumerate(cluster.members):
        others = [each for each in cluster.members if each != name]
        cluster[name].stop()
        wait_for("the others to own every shard", lambda others=others: cluster.is_whole(others))
        cluster[name].program = program
        cluster[name].start()
        wait_for(f"{name} to follow", lambda name=name: cluster.follows(name), 40)
        if number == 0:
            between()


def fold_version(program):
    text = subprocess.run([program, "version"], capture_output=True, text=True, check=True).stdout
    return re.search(r"fold version (\d+)", text).group(1)


def last_claims(cluster):
    """The fold version of each shard's last claim."""
    found = {}
    for exported in objects(cluster.first.command("audit", "export")):
        record = json.loads(exported["value"])["body"]
        if record["kind"] == "claim":
            found[record["shard"]] = str(record["fold_version"])
    return list(found.values())


def state_of(cluster, name, service):
    return [each["state"] for each in cluster[name].incidents() if each["service"] == service]


def fall_ill_in_every_way(cluster):
    """Healed; held for a person; running with a lock that stays; given up by its breaker."""
    cluster.fall_ill("a", 1)
    wait_for("payments to be healed", lambda: state_of(cluster, "a", "payments") == ["closed"], 60)
    for service, code in (("approved", "ask"), ("busy", "busy"), ("hopeless", "hopeless"),
                          ("watched", "watched")):
        cluster["a"].post("/api/signals", json.dumps({
            "type": "failure", "service": service, "code": code, "id": service}))
    wait_for("a proposal to be held", lambda: [
        each for each in objects(cluster["a"].command("proposals", "list", "--json"))
        if each["service"] == "approved" and each["state"] == "held"])
    wait_for("a lock to be held", lambda: [
        each for each in objects(cluster["a"].command("locks", "list", "--json"))
        if each["service"] == "busy" and each["state"] == "held"])
    wait_for("a breaker to open", lambda: [
        each for each in objects(cluster["a"].command("breakers", "list", "--json"))
        if each["playbook"] == "give_up" and each["state"] == "open"])
    wait_for("a person to be told",
             lambda: state_of(cluster, "a", "hopeless") == ["escalated"], 30)
    wait_for("the long step to begin", lambda: effects_of(cluster, "busy"))
    wait_for("another run to be verified",
             lambda: state_of(cluster, "a", "watched") == ["verifying"])


def effects_of(cluster, service):
    return [line for line in cluster.first.effect_lines() if line.split()[2] == service]


def heal_payments(cluster, name, number):
    """Once more, and what is remembered before it."""
    cluster.fall_ill(name, number)
    wait_for(f"illness {number} to be healed",
             lambda: state_of(cluster, name, "payments") == ["closed"] * number, 60)
    check(len(effects_of(cluster, "payments")) == number, f"illness {number} was healed once")


def judge(cluster, inputs, upgraded):
    """What the topics say once everything is stopped, asked of both builds."""
    here, there = fold_version(PROGRAM), fold_version(NEXT_PROGRAM)
    replays = {}
    for program, mine, other in ((PROGRAM, here, there), (NEXT_PROGRAM, there, here)):
        cluster.first.program = program
        replay = replays[mine] = json.loads(cluster.first.command("replay", "--json"))
        check(replay["differing"] == 0 and replay["compared"] > 0,
              f"what fold version {mine} decided it decides again: {replay}")
        check(list(replay["other_fold_versions"]) == [other],
              f"and says that {other} decided the rest")
        effects = cluster.first.write("effects.json", "".join(
            json.dumps({"action_id": line.split()[0], "attempt": int(line.split()[1])}) + "\n"
            for line in cluster.first.effect_lines()))
        audit = json.loads(cluster.first.command("audit", "verify", "--deep", "--json", "--ended",
                                                 "--effects", effects, "--data-dir",
                                                 cluster.first.folder + "/data"))
        check(audit["holds"], f"the audit holds: {audit}")
        check(audit["inputs"] == inputs, f"{inputs} inputs, each once: {audit['inputs']}")
        check(f"fold version {other}" in json.dumps(audit), "it names what it cannot decide again")
    check(replays[here]["compared"] == replays[there]["other_fold_versions"][here] and
          replays[there]["compared"] == replays[here]["other_fold_versions"][there],
          "between them they decide everything again")
    cluster.first.program = PROGRAM
    window = ["--from", upgraded[0], "--to", upgraded[1]]
    asked = subprocess.run([PROGRAM, "replay", *window, "--config", cluster.first.config],
                           capture_output=True, text=True, timeout=60)
    check(asked.returncode == 1 and f"this build's fold version, {here}" in asked.stderr and
          f"fold version {there} decided them" in asked.stdout,
          f"a window of the other version alone is refused: {asked.stdout}{asked.stderr}")


def now():
    text = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def nothing_is_lost_on_the_way_there_and_back():
    cluster = two_of_this_build()
    sender = None
    try:
        cluster["a"].start()
        cluster["b"].start()
        wait_for("b to follow", lambda: cluster.follows("b"))
        sender = Sender(cluster, SERVICES)
        sender.start()
        fall_ill_in_every_way(cluster)
        before = settled(cluster, "a")
        check(any(before["posteriors"].values()), "something was learnt")
        roll(cluster, NEXT_PROGRAM)
        check(last_claims(cluster) == [fold_version(NEXT_PROGRAM)] * SHARDS,
              "the next build decides in every shard")
        same_everywhere(cluster, before, "the next build knows what this one knew")
        begun = now()

        held = [each for each in before["proposals"] if each["service"] == "approved"][0]
        cluster["b"].command("approve", held["id"])
        wait_for("what was held to be done",
                 lambda: state_of(cluster, "b", "approved") == ["closed"], 40)
        check(len(effects_of(cluster, "approved")) == 1, "what a person approved was done once")
        heal_payments(cluster, "a", 2)
        ended = now()
        before = settled(cluster, "a")
        # In the middle one follows what the other's fold decides.
        roll(cluster, PROGRAM, lambda: same_everywhere(
            cluster, before, "two builds side by side know the same"))
        check(last_claims(cluster) == [fold_version(PROGRAM)] * SHARDS,
              "this build decides in every shard again")
        same_everywhere(cluster, before, "the way back loses nothing")

        cluster.first.write("go", "")
        wait_for("the long run to end", lambda: state_of(cluster, "a", "busy") == ["closed"], 40)
        check(len(effects_of(cluster, "busy")) == 1, "two upgrades long, and done once")
        wait_for("its lock to be free",
                 lambda: not objects(cluster["a"].command("locks", "list", "--json")))
        wait_for("the verification to end",
                 lambda: state_of(cluster, "a", "watched") == ["closed"], 60)
        heal_payments(cluster, "b", 3)
        sent = sender.stop()
        cluster["b"].stop()
        inputs = cluster.everything_is_taken("a")
        check(inputs >= sent, f"{sent} signals were sent meanwhile")
        cluster["a"].stop()
        judge(cluster, inputs, (begun, ended))
    except AssertionError as failure:
        raise AssertionError(f"{failure}\n" + "\n".join(
            f"{name}: {member.logs()}" for name, member in cluster.members.items())) from None
    finally:
        cluster.close()
        if sender and not sender.ended.is_set():
            sender.stop()


run(nothing_is_lost_on_the_way_there_and_back)
