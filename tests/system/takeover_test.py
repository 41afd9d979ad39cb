"""Several processes on one Kafka: who owns what, and who goes on when one is gone."""
import json
import shutil
import signal
import time

from cluster import BROKERS, PARTITIONS, SHARDS, Cluster
from support import Service, check, free_port, run, wait_for


def the_next_takes_over_within_a_second():
    cluster = Cluster(["a", "b"])
    try:
        cluster["a"].start()
        check(cluster.owned("a") == list(range(SHARDS)), "the first owns every shard")
        cluster["b"].start()
        wait_for("b to follow every shard",
                 lambda: all(each["state"] in ("standby", "live") for each in cluster.shards("b")))
        check(cluster.is_whole(["a", "b"]), "no shard has two owners")
        cluster.fall_ill("b", 1)
        cluster.incidents_closed("b", 1)
        check(len(cluster.first.effect_lines()) == 1, "it was healed once")

        cluster["a"].process.send_signal(signal.SIGKILL)
        began = time.monotonic()
        wait_for("b to own every shard", lambda: cluster.is_whole(["b"]), 20)
        took = time.monotonic() - began
        cluster["a"].process.wait(10)
        cluster.fall_ill("b", 2)
        cluster.incidents_closed("b", 2)
        check(len(cluster.first.effect_lines()) == 2, "the second illness was healed once")
        print(f"every shard is owned again {took:.2f} s after the kill", flush=True)

        cluster["a"].start()
        wait_for("a to follow", lambda: all(
            each["state"] == "standby" for each in cluster.shards("a")), 30)
        cluster["b"].stop()
        began = time.monotonic()
        wait_for("a to own every shard", lambda: cluster.is_whole(["a"]), 20)
        print(f"after a clean stop: {time.monotonic() - began:.2f} s", flush=True)
        cluster.fall_ill("a", 3)
        cluster.incidents_closed("a", 3)
        cluster["a"].stop()
        replay = json.loads(cluster.first.command("replay", "--json"))
        check(replay["differing"] == 0 and replay["compared"] > 0, f"replay is equal: {replay}")
        audit = json.loads(cluster.first.command("audit", "verify", "--deep", "--json"))
        check(audit["holds"], f"the audit holds: {audit}")
    finally:
        cluster.close()


def a_stopped_owner_can_do_nothing():
    cluster = Cluster(["a", "b"])
    try:
        cluster["a"].start()
        cluster["b"].start()
        wait_for("b to follow every shard",
                 lambda: all(each["state"] == "standby" for each in cluster.shards("b")))
        cluster["a"].process.send_signal(signal.SIGSTOP)
        wait_for("b to own every shard", lambda: cluster.is_whole(["b"]), 20)
        cluster.fall_ill("b", 1)
        cluster.incidents_closed("b", 1)
        cluster["a"].process.send_signal(signal.SIGCONT)
        wait_for("a to follow what it has lost", lambda: all(
            each["state"] == "standby" for each in cluster.shards("a")), 30)
        check(cluster.is_whole(["b"]), "b owns every shard still")
        cluster.fall_ill("a", 2)
        cluster.incidents_closed("a", 2)
        check(len(cluster.first.effect_lines()) == 2, "each illness was healed once")
        metrics = cluster["b"].get("/metrics")
        check("self_heal_member_lapses 1" in metrics, "the needless absence is counted")
    finally:
        cluster.close()


def killed_in_a_step(share_actions, effect):
    """The owner is killed while a step runs; what the next one finds, and how often it happened."""
    cluster = Cluster(["a", "b"], share_actions=share_actions, effect=effect, step_seconds=2)
    try:
        cluster["a"].start()
        cluster["b"].start()
        wait_for("b to follow every shard",
                 lambda: all(each["state"] == "standby" for each in cluster.shards("b")))
        cluster.fall_ill("b", 1)
        wait_for("the step to begin", cluster.first.effect_lines)
        cluster["a"].kill()
        def ended():
            found = [each for each in cluster["b"].incidents()
                     if each["state"] in ("closed", "escalated", "in_doubt")]
            return found[0] if found else None
        incident = wait_for("the incident to end", ended, 90)
        return incident, [line.split()[0] for line in cluster.first.effect_lines()], \
            cluster["b"].logs()
    finally:
        cluster.close()


def a_step_outlives_its_owner_and_is_adopted():
    incident, effects, _ = killed_in_a_step(True, "neither")
    check(incident["outcome"] == "recovered", f"it was adopted: {incident['outcome']}")
    check(len(effects) == 1, "and not repeated")


def what_ran_elsewhere_is_waited_out():
    incident, effects, log = killed_in_a_step(False, "neither")
    check("after which it can no longer act" in log, "the next owner waited")
    check(len(effects) == 1, "nothing is repeated that may happen once only")
    check(incident["state"] in ("in_doubt", "escalated"), f"a person is asked: {incident['state']}")


def what_ran_elsewhere_is_repeated_where_that_does_no_harm():
    incident, effects, log = killed_in_a_step(False, "idempotent")
    check("after which it can no longer act" in log, "the next owner waited")
    check(incident["outcome"] == "recovered", f"it was healed: {incident['outcome']}")
    check(len(effects) == 2 and len(set(effects)) == 1, "twice, with one action id")


def what_ran_elsewhere_is_asked_of_its_probe():
    incident, effects, log = killed_in_a_step(False, "verifiable")
    check("after which it can no longer act" in log, "the next owner waited")
    check(incident["outcome"] == "recovered", f"the probe found it: {incident['outcome']}")
    check(len(effects) == 1, "and it was not repeated")


def shards_are_shared_and_a_name_is_not():
    cluster = Cluster(["a", "b"])
    try:
        for name in "ab":
            with open(cluster[name].config, "a") as file:
                file.write("cluster: {balance_after: 1s}\n")
            cluster[name].start()
        wait_for("each to own its share", lambda: len(cluster.owned("a")) in (2, 3) and
                 cluster.is_whole(["a", "b"]), 40)
        twin = Service(bus="kafka", brokers=BROKERS, partitions=PARTITIONS)
        cluster.members["twin"] = twin
        shutil.copy(cluster["b"].config, twin.config)
        with open(twin.config) as file:
            text = file.read()
        text = text.replace(f"{cluster['b'].folder}/data", f"{twin.folder}/data")
        text = text.replace(f"127.0.0.1:{cluster['b'].port}", f"127.0.0.1:{free_port()}")
        with open(twin.config, "w") as file:
            file.write(text)
        twin.spawn()
        check(twin.process.wait(30) == 1, "a second process of the same name ends with exit 1")
        check("has the name 'b'" in twin.logs(), "and says why: " + twin.logs()[-300:])
        check(cluster.is_whole(["a", "b"]), "nothing was taken from the others")
    finally:
        cluster.close()


run(the_next_takes_over_within_a_second, a_stopped_owner_can_do_nothing,
    a_step_outlives_its_owner_and_is_adopted, what_ran_elsewhere_is_waited_out,
    what_ran_elsewhere_is_repeated_where_that_does_no_harm,
    what_ran_elsewhere_is_asked_of_its_probe,
    shards_are_shared_and_a_name_is_not)
