"""The service on a real Kafka, fed by kcat, read by kcat, scraped as Prometheus does."""
import json
import os
import subprocess

from support import PUBLISHES, Service, check, run, wait_for

BROKERS = os.environ.get("SELFHEAL_TEST_KAFKA", "")


def kcat(*arguments, stdin=None):
    done = subprocess.run(["kcat", "-b", BROKERS, *arguments], input=stdin, capture_output=True,
                          text=True, timeout=60)
    if done.returncode != 0:
        raise AssertionError(f"kcat {arguments}: {done.stderr}")
    return done.stdout


def heals_what_kcat_reports():
    service = Service(bus="kafka", brokers=BROKERS, partitions=4, step_seconds=1)
    try:
        service.command("topics", "create")
        service.command("topics", "create")  # twice is once
        service.command("doctor")
        service.start()
        topic = service.prefix + ".signals"
        metric = json.dumps({"type": "metric", "service": "other", "metric": "up", "value": 1})
        kcat("-P", "-t", topic, "-k", "other", stdin=metric + "\n")
        event = json.dumps({"specversion": "1.0", "id": "1", "source": "/probe", "type": "signal",
                            "data": {"type": "failure", "service": "payments",
                                     "code": "service_down", "id": "k1"}})
        # kcat's own partitioner: the signal comes in wherever it likes and is forwarded.
        kcat("-P", "-t", topic, "-k", "payments", stdin=event + "\n")
        kcat("-P", "-t", topic, stdin="{not json\n")
        wait_for("the step to begin", service.effect_lines)
        service.kill()
        service.start()
        incident = service.incident("closed", 60)
        check(incident["outcome"] == "recovered", "recovered across kill -9")
        check(len(service.effect_lines()) == 1, "the step ran once")
        def decisions():
            text = kcat("-C", "-t", service.prefix + ".decisions", "-o", "beginning", "-e", "-q")
            return {json.loads(line)["type"] for line in text.splitlines()}
        wait_for("the outcome on the decisions topic",
                 lambda: {"self_heal.outcome", "self_heal.proposal"} <= decisions())
        letters = kcat("-C", "-t", service.prefix + ".deadletter", "-o", "beginning", "-e", "-q",
                       "-f", "%h|%s\n")
        check("{not json" in letters and "reason=" in letters, "the unreadable record is kept")
        metrics = service.get("/metrics")
        lint = subprocess.run(["promtool", "check", "metrics"], input=metrics, capture_output=True,
                              text=True, timeout=30)
        check(lint.returncode == 0, "promtool finds nothing to say: " + lint.stderr)
        service.stop()
        replay = json.loads(service.command("replay", "--json"))
        check(replay["differing"] == 0 and replay["compared"] > 8, f"replay is equal: {replay}")
        check(json.loads(service.command("audit", "verify", "--deep", "--json"))["holds"],
              "the audit holds")
    finally:
        service.close()


def publishes_to(topic, environment):
    """A service whose playbook publishes there, once it has something to heal."""
    service = Service(bus="kafka", brokers=BROKERS, effect="neither")
    service.write("playbooks/restart_service.yaml",
                  PUBLISHES.format(effect="neither", topic=topic))
    service.command("topics", "create")
    service.start(environment)
    service.post("/api/signals", json.dumps({"type": "failure", "service": "payments",
                                             "code": "service_down", "id": "p1"}))
    return service


def publishes_for_others_to_read():
    topic = f"payments{os.getpid()}.signals"
    service = publishes_to(topic, {})
    try:
        failed = wait_for("the run to fail", lambda: service.runs("failed"))[0]
        check("nothing was published" in failed["steps"][0]["output"], "a missing topic is not made")
        # Somebody else's topics: those of another prefix.
        service.command("topics", "create", "--set", "topics.prefix=" + topic.split(".")[0])
    finally:
        service.close()
    # The service dies with the record on the bus and no result on the disk.
    service = publishes_to(topic, {"SELF_HEAL_SHIM_FAILPOINT": "after_effect"})
    try:
        wait_for("the service to die", lambda: service.process.poll() is not None)
        service.start()
        found = wait_for("the doubt", lambda: service.runs("in_doubt"))[0]
        read = kcat("-C", "-t", topic, "-o", "beginning", "-e", "-q", "-f", "%k|%s|%h\n")
        record = 'payments|{"restart": true}|Idempotency-Key=' + found["id"]
        check(read.splitlines() == [record], f"one record, with its key: {read}")
        service.command("resolve", found["id"], "--outcome", "happened", "--reason", "kcat read it")
        closed = service.incident("closed")
        check(closed["outcome"] == "recovered", "the answer came by the control topic")
        check(kcat("-C", "-t", topic, "-o", "beginning", "-e", "-q").count("restart") == 1,
              "and nothing was published again")
    finally:
        service.close()


def waits_for_kafka():
    service = Service(bus="kafka", brokers="127.0.0.1:1")
    try:
        service.command("doctor", expect=3)
    finally:
        service.close()


if not BROKERS:
    raise SystemExit("SELFHEAL_TEST_KAFKA names no broker: see script/kafka")
run(heals_what_kcat_reports, publishes_for_others_to_read, waits_for_kafka)
