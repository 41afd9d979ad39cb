"""The fleet's shard with real processes on one Kafka: locks, waiters, limits, and the lease."""
import json
import time

from cluster import PARTITIONS, Cluster
from support import check, run, wait_for

DATABASE = {"resource": {"kind": "database", "id": "main"}}


def fleet(cluster, name):
    return json.loads(cluster[name].command("fleet", "--json"))


def both_follow(cluster):
    cluster["a"].start()
    cluster["b"].start()
    wait_for("b to follow every shard",
             lambda: all(each["state"] == "standby" for each in cluster.shards("b")))


def story(cluster, name, service):
    """What was decided of a service's incident, in its order."""
    found = [each for each in cluster[name].incidents() if each["service"] == service][0]
    shown = json.loads(cluster[name].command("incidents", "show", found["id"], "--json"))
    return shown["timeline"]


def one(timeline, kind):
    found = [each for each in timeline if each["type"] == kind]
    check(len(found) == 1, f"{kind} once, not {len(found)} times")
    return found[0]


def two_runs_on_one_target_exclude_each_other():
    cluster = Cluster(["a", "b"], step_seconds=2)
    try:
        both_follow(cluster)
        cluster.fall_ill("a", 1, "payments", **DATABASE)
        held = wait_for("the first lock", lambda: fleet(cluster, "b")["locks"])
        check([each["target"] for each in held] == ["database/main"], f"on the resource: {held}")
        check(held[0]["until_ms"] > time.time() * 1000, "it ends later")
        cluster.fall_ill("a", 2, "other", **DATABASE)
        waiting = wait_for("the second to wait", lambda: fleet(cluster, "a")["waiting"])
        check(waiting[0]["reason"] == f"database/main is held by {held[0]['id']}",
              f"it is seen waiting, and for what: {waiting}")
        metrics = cluster["b"].get("/metrics")
        check("self_heal_fleet_lock_waiters 1" in metrics, "counted as waiting")
        check(f'holder="{held[0]["id"]}",target="database/main"' in metrics,
              "holder and end are metrics")
        table = cluster["a"].command("locks", "list")
        check("held" in table and "waiting" in table, f"both are listed:\n{table}")
        cluster.incidents_closed("a", 2)
        first, second = story(cluster, "a", "payments"), story(cluster, "a", "other")
        check(one(second, "lock_awaited")["data"]["target"] == "database/main", "told in its story")
        # lock_released belongs to no incident; the outcome that it follows does.
        check(one(first, "outcome")["time"] <= one(second, "run_started")["time"],
              "the second began after the first had ended")
        check(len(cluster.first.effect_lines()) == 2, "each was done once")
        wait_for("every lock to be free", lambda: not fleet(cluster, "b")["locks"])
        audit = json.loads(cluster.first.command("audit", "verify", "--deep", "--json"))
        check(audit["holds"], f"the audit holds: {audit}")
        replay = json.loads(cluster.first.command("replay", "--json"))
        check(replay["differing"] == 0, f"replay is equal, the fleet's shard included: {replay}")
    finally:
        cluster.close()


def limits_hold_over_all_shards():
    cluster = Cluster(["a"], step_seconds=2)
    try:
        with open(cluster.first.config) as file:
            text = file.read().replace("limits: {", "limits: {fleet_concurrent: 1, ")
        with open(cluster.first.config, "w") as file:
            file.write(text)
        cluster["a"].start()
        cluster.fall_ill("a", 1, "payments")
        cluster.fall_ill("a", 2, "other")
        waiting = wait_for("one to wait", lambda: fleet(cluster, "a")["waiting"])
        check(waiting[0]["reason"] == "fleet_concurrent: 1 of 1 runs are under way", f"{waiting}")
        cluster.incidents_closed("a", 2)
        check(len(cluster.first.effect_lines()) == 2, "each was done, one after the other")
    finally:
        cluster.close()


def the_lease_moves_and_the_locks_stay():
    cluster = Cluster(["a", "b"], step_seconds=4)
    try:
        both_follow(cluster)
        lease = wait_for("the lease to be seen", lambda: fleet(cluster, "b")["lease"])
        check(lease["owner"] == "a" and lease["until_ms"] > 0, f"a has it, for a while: {lease}")
        cluster.fall_ill("a", 1)
        held = wait_for("a lock", lambda: fleet(cluster, "b")["locks"])
        wait_for("the step to begin", cluster.first.effect_lines)
        cluster["a"].kill()
        began = time.monotonic()
        wait_for("b to have the fleet-wide role",
                 lambda: fleet(cluster, "b")["lease"]["owner"] == "b" and
                 PARTITIONS in cluster.owned("b"), 20)
        print(f"the fleet-wide role moved within {time.monotonic() - began:.2f} s", flush=True)
        after = fleet(cluster, "b")["locks"]
        check([(each["id"], each["until_ms"]) for each in after] ==
              [(each["id"], each["until_ms"]) for each in held],
              f"the lock is still held, until the same time: {after}, before {held}")
        check('self_heal_fleet_lease{owner="b"} 1' in cluster["b"].get("/metrics"), "in metrics")
        cluster.incidents_closed("b", 1)
        check(len(cluster.first.effect_lines()) == 1, "it was healed once")
        wait_for("the lock to be free", lambda: not fleet(cluster, "b")["locks"])
    finally:
        cluster.close()


run(two_runs_on_one_target_exclude_each_other, limits_hold_over_all_shards,
    the_lease_moves_and_the_locks_stay)
