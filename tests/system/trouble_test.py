"""What happens when the ground gives way: Kafka away at start and later, a full disk."""
import json
import os
import signal
import subprocess

from support import Broker, Service, check, free_port, run, wait_for

FAILURE = json.dumps({"type": "failure", "service": "payments", "code": "service_down", "id": "f1"})


def waits_for_kafka_and_goes_on_by_itself():
    broker = Broker()
    service = Service(bus="kafka", brokers=broker.address)
    try:
        service.spawn()
        status, body = wait_for("an answer of /readyz", lambda: (
            answer if (answer := service.answers("/readyz"))[0] else None))
        check(status == 503, f"without Kafka the service is not ready: {body}")
        wait_for("/readyz to name the broker",
                 lambda: "kafka" in service.answers("/readyz")[1].lower())
        check(service.answers("/healthz")[0] == 200, "it lives all the same")
        broker.script("start")
        service.command("topics", "create")
        wait_for("the service to be ready", lambda: service.answers("/readyz")[0] == 200, 60)
        service.post("/api/signals", FAILURE)
        service.incident("closed", 60)
        check(len(service.effect_lines()) == 1, "it healed once Kafka was there")

        broker.script("stop")
        wait_for("/readyz to say that Kafka is away",
                 lambda: service.answers("/readyz")[0] == 503, 60)
        check(service.process.poll() is None, "it waits")
        broker.script("start")
        wait_for("the service to be ready again",
                 lambda: service.answers("/readyz")[0] == 200, 90)
        os.remove(service.healed)
        service.post("/api/signals", FAILURE.replace("f1", "f2"))
        wait_for("the second restart", lambda: len(service.effect_lines()) == 2, 60)
        wait_for("both incidents to be closed",
                 lambda: [each["state"] for each in service.incidents()] == ["closed", "closed"], 60)
        service.stop()
        replay = json.loads(service.command("replay", "--json"))
        check(replay["differing"] == 0, f"replay is equal across the outage: {replay}")
    except AssertionError as failure:
        raise AssertionError(f"{failure}\n/readyz: {service.answers('/readyz')}\n{service.logs()}\n"
                             f"broker: {broker.logs()}") from None
    finally:
        service.close()
        broker.close()


def stops_while_it_waits_for_kafka():
    service = Service(bus="kafka", brokers=f"127.0.0.1:{free_port()}")
    try:
        service.spawn()
        wait_for("the service to wait", lambda: "waiting for the bus" in service.logs())
        service.process.send_signal(signal.SIGHUP)
        said = service.logs().count("waiting for the bus")
        wait_for("it to go on waiting after SIGHUP",
                 lambda: service.logs().count("waiting for the bus") > said)
        check(service.process.poll() is None, "a reload ends nothing")
        service.stop()
        check(service.process.returncode == 0, "SIGTERM: exit 0")
    finally:
        service.close()


def stops_acting_on_a_full_disk():
    service = Service()
    data = service.folder + "/data"
    os.mkdir(data)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", data], check=True)
    try:
        service.start()
        filler = os.open(data + "/filler", os.O_CREAT | os.O_WRONLY)
        try:
            while True:
                os.write(filler, b"x" * 4096)
        except OSError:
            os.close(filler)
        status, body = 0, ""

        def refused():
            nonlocal status, body
            service.post("/api/signals", FAILURE.replace("f1", os.urandom(4).hex()), expect=None)
            status, body = service.answers("/readyz")
            return status == 503
        wait_for("/readyz to say so", refused)
        check(any(word in body.lower() for word in ("space", "full", "disk")), f"why: {body}")
        check(len(service.effect_lines()) <= 1, "nothing more was done")
        service.kill()
        os.remove(data + "/filler")
        service.start()
        service.post("/api/signals", FAILURE.replace("f1", "f9"))
        wait_for("a restart once there is room", service.effect_lines, 60)
        wait_for("every incident to be closed", lambda: all(
            each["state"] == "closed" for each in service.incidents()), 60)
        service.stop()
        replay = json.loads(service.command("replay", "--json"))
        check(replay["differing"] == 0, f"replay is equal: {replay}")
    finally:
        if service.process and service.process.poll() is None:
            service.kill()
        subprocess.run(["umount", "-l", data], check=True)
        service.close()


def leaves_out_a_record_that_crashes_the_process():
    leaves_out_a_record("CRASH")


def leaves_out_a_record_on_which_a_stage_hangs():
    leaves_out_a_record("HANG")


def leaves_out_a_record(that_ends_in):
    service = Service(partitions=1)
    try:
        with open(service.config, "a") as config:
            config.write("cut_timeout: 1s\n")
        service.start()
        service.stop()
        service.start()
        service.kill()
        check(json.loads(service.command("audit", "verify", "--json"))["failed"] == 0,
              "a kill from outside is no crash")
        signals = [{"type": "metric", "service": "payments", "metric": "m", "value": 1}] * 3
        signals.append(json.loads(FAILURE))
        service.start()
        # One message, so that it comes as one record, which no halving can split.
        service.post("/api/signals", "\n".join(json.dumps(each) for each in signals[:2]))
        service.stop()
        poisonous = {"SELFHEAL_FAILPOINT": "in_stage", f"SELFHEAL_FAILPOINT_{that_ends_in}": "1"}
        service.start()
        service.post("/api/signals", FAILURE)
        service.incident("closed", 60)
        service.stop()
        service.spawn(poisonous)
        wait_for("an answer of /readyz", lambda: service.answers("/readyz")[0])
        service.post("/api/signals", json.dumps(signals[0]), expect=None)
        crashes = 0
        while service.process.wait(30) == -6:
            crashes += 1
            check(crashes < 10, f"crash number {crashes}")
            service.spawn(poisonous)
            try:
                service.process.wait(4)
            except subprocess.TimeoutExpired:
                break
        check(crashes == 2, f"the second crash on one record was the last, of {crashes}")
        service.kill()
        service.start()
        os.remove(service.healed)
        service.post("/api/signals", FAILURE.replace("f1", "f2"))
        wait_for("what came behind it", lambda: len(service.effect_lines()) == 2, 60)
        service.stop()
        audit = json.loads(service.command("audit", "verify", "--deep", "--json"))
        check(audit["holds"] and audit["skipped"] == 1 and audit["failed"] == 2,
              f"the record was left out, and that is on record: {audit}")
    finally:
        service.close()


run(leaves_out_a_record_that_crashes_the_process, leaves_out_a_record_on_which_a_stage_hangs,
    stops_acting_on_a_full_disk, stops_while_it_waits_for_kafka, waits_for_kafka_and_goes_on_by_itself)
