"""The service on the embedded bus, as a newcomer runs it."""
import json
import os
import re
import signal
import subprocess
import threading
import urllib.parse
import urllib.request

from support import Service, check, free_port, run, wait_for

FAILURE = json.dumps({"type": "failure", "service": "payments", "code": "service_down", "id": "f1"})


def heals_and_proves_it():
    service = Service()
    try:
        service.start()
        service.get("/healthz")
        wait_for("readyz", lambda: service.get("/readyz", expect=None).get("status") is not None)
        answer = service.post("/api/signals", FAILURE + "\n{broken\n")
        check(answer["taken"] == 1 and len(answer["refused"]) == 1, "one line taken, one refused")
        incident = service.incident("closed")
        check(incident["outcome"] == "recovered", "the service recovered")
        check(len(service.effect_lines()) == 1, "the restart ran once")
        story = json.loads(service.command("incidents", "show", incident["id"], "--json"))
        types = [entry["type"] for entry in story["timeline"]]
        for wanted in ["incident_opened", "proposal", "verdict", "run_intent", "run_started",
                       "step_finished", "run_finished", "outcome", "learned", "incident_closed"]:
            check(wanted in types, f"the story tells of {wanted}")
        check("self_heal_runs_total" in service.get("/metrics"), "metrics are shown")
        # The same signal again: one id counts once.
        service.post("/api/signals", FAILURE)
        service.post("/api/signals", json.dumps({"type": "metric", "service": "payments",
                                                 "metric": "up", "value": 1}))
        service.stop()
        replay = json.loads(service.command("replay", "--json"))
        check(replay["differing"] == 0 and replay["compared"] > 8, f"replay is equal: {replay}")
        audit = json.loads(service.command("audit", "verify", "--deep", "--json"))
        check(audit["holds"] and audit["claims"] >= 2, "the audit holds")
        check(len(service.incidents_stopped()) == 1, "one incident, read from the stopped folder")
    finally:
        service.close()


def survives_kill_and_takes_up_its_run():
    service = Service(step_seconds=2)
    try:
        service.start()
        service.post("/api/signals", FAILURE)
        wait_for("the step to begin", service.effect_lines)
        service.kill()
        service.start()
        incident = service.incident("closed")
        check(incident["outcome"] == "recovered", "the story went on after kill -9")
        check(len(service.effect_lines()) == 1, "the step was not run twice")
        service.stop()
        check(json.loads(service.command("replay", "--json"))["differing"] == 0, "replay is equal")
    finally:
        service.close()


def is_scraped_by_prometheus():
    service = Service()
    prometheus = None
    try:
        service.start()
        service.post("/api/signals", FAILURE)
        service.incident("closed")
        port = free_port()
        config = service.write("prometheus.yml", f"""\
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: selfheal
    static_configs: [{{targets: ["127.0.0.1:{service.port}"]}}]
""")
        with open(os.path.join(service.folder, "prometheus.log"), "w") as log:
            prometheus = subprocess.Popen(
                ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={service.folder}/tsdb",
                 f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)

        def value(query):
            address = (f"http://127.0.0.1:{port}/api/v1/query?query=" + urllib.parse.quote(query))
            try:
                with urllib.request.urlopen(address, timeout=5) as answer:
                    found = json.load(answer)["data"]["result"]
            except OSError:
                return None
            return float(found[0]["value"][1]) if found else None
        wait_for("a scrape", lambda: value('up{job="selfheal"}') == 1)
        check(value('self_heal_signals_total{type="failure"}') == 1, "Prometheus counts the signal")
        check(value('self_heal_runs_total{result="recovered"}') == 1, "and the run")
        check(value('self_heal_shards{state="live"}') == 3, "and every shard")
        check(value("histogram_quantile(0.5, self_heal_commit_seconds_bucket)") > 0,
              "commit latency is a histogram it can use")
    finally:
        if prometheus:
            prometheus.terminate()
            prometheus.wait(20)
        service.close()


def waits_for_a_person():
    service = Service(automatic=False)
    try:
        service.start()
        service.post("/api/signals", FAILURE)
        held = service.incident("held_for_person")
        check(not service.effect_lines(), "nothing is touched before the approval")
        proposals = [json.loads(line) for line in
                     service.command("proposals", "list", "--json").splitlines()]
        waiting = [p for p in proposals if p["state"] == "held"]
        check(len(waiting) == 1, "one proposal waits")
        answer = f"/api/proposals/{waiting[0]['id']}/approve"
        refused = service.post(answer, "{}", expect=403)
        check(refused["code"] == "CONFIRMATION_REQUIRED", "an answer needs a confirmation")
        service.post(answer, "{}", expect=401, headers={"x-confirmed": "yes"})
        service.command("approve", waiting[0]["id"], "--reason", "go on")
        closed = service.incident("closed")
        check(closed["id"] == held["id"] and closed["outcome"] == "recovered", "it recovered")
        check(closed["approved_by"] == "operator", "the approver is in the record")
        check(len(service.effect_lines()) == 1, "it ran once")
        service.stop()
    finally:
        service.close()


def asks_a_person_while_many_are_silent():
    service = Service(partitions=1)
    with open(service.config, "a") as config:
        config.write("silence: {after: 2s, window: 60s}\n")
    stop = threading.Event()

    speaking = list(range(21))

    def speak():
        while not stop.wait(0.5):
            service.post("/api/signals", "\n".join(json.dumps(
                {"type": "metric", "service": f"service-{i}", "metric": "up", "value": 1})
                for i in list(speaking)))

    def taken():
        found = re.search(r'self_heal_signals_total{type="metric"} ([0-9]+)',
                          service.get("/metrics"))
        return int(found[1])

    def suspected():
        return 'self_heal_input_suspected{shard="0"} 1' in service.get("/metrics")

    try:
        service.start()
        speaker = threading.Thread(target=speak)
        speaker.start()
        wait_for("every service to be known", lambda: taken() >= 21 * 14)
        check(not suspected(), "nobody is silent")
        del speaking[1:]
        wait_for("the silence to be noticed", suspected, 60)
        service.post("/api/signals", FAILURE)
        held = service.incident("held_for_person")
        story = json.loads(service.command("incidents", "show", held["id"], "--json"))
        check("20 of 21 services fell silent together" in json.dumps(story), "the story says why")
        check(not service.effect_lines(), "nothing is touched while the input is suspected")
        speaking.extend(range(1, 21))
        closed = service.incident("closed")
        check(closed["id"] == held["id"] and closed["approved_by"] == "policy",
              "with the signals the run goes on by itself")
        check(not suspected(), "the input is trusted again")
        stop.set()
        speaker.join()
        service.stop()
        replay = json.loads(service.command("replay", "--json"))
        check(replay["differing"] == 0, f"replay is equal: {replay}")
        check(json.loads(service.command("audit", "verify", "--deep", "--json"))["holds"],
              "the audit holds")
    finally:
        stop.set()
        service.close()


def ends_what_nobody_tells_of():
    service = Service()
    try:
        with open(os.path.join(service.folder, "playbooks/restart_service.yaml")) as file:
            steps = file.read().split("verify:")[0]
        service.write("playbooks/restart_service.yaml", steps + """\
verify:
  - {metric: error_rate, op: lt, value: 0.1, within: 2s}
""")
        service.start()
        # The only signal there will ever be: no later one moves the time of the input.
        service.post("/api/signals", FAILURE)
        escalated = service.incident("escalated")
        check(len(service.effect_lines()) == 1, "it ran once")
        story = json.loads(service.command("incidents", "show", escalated["id"], "--json"))
        check("did not hold within 2s" in json.dumps(story), "the story says what did not hold")
        service.stop()
        check(json.loads(service.command("replay", "--json"))["differing"] == 0, "replay is equal")
    finally:
        service.close()


def observes_only():
    service = Service(mode="observe")
    try:
        service.start()
        service.post("/api/signals", FAILURE)
        service.incident("observed")
        check(not service.effect_lines(), "nothing is touched while observing")
        service.stop()
    finally:
        service.close()


def shows_what_a_reload_brought():
    service = Service(mode="observe")
    try:
        service.start()
        check(service.get("/readyz")["mode"] == "observe", "it observes")
        with open(service.config) as file:
            text = file.read()
        service.write("service.yaml", text.replace("mode: observe", "mode: dry_run"))
        service.write("playbooks/warm_cache.yaml",
                      "name: warm_cache\ntriggers: [cache_cold]\n"
                      "steps: [{name: warm, run: {argv: [/bin/true]}}]\n")
        service.write("policies.yaml", "- {action: self_heal_execute, decision: deny}\n")
        os.kill(service.process.pid, signal.SIGHUP)
        wait_for("the new mode", lambda: service.get("/readyz")["mode"] == "dry_run")
        names = [each["name"] for each in service.get("/api/playbooks")]
        check(names == ["restart_service", "warm_cache"], "the new playbook is shown")
        listed = service.command("playbooks", "show", "warm_cache", "--json")
        check(json.loads(listed)["triggers"] == ["cache_cold"], "and can be asked for by name")
        policies = service.get("/api/policies")
        check([each["decision"] for each in policies] == ["deny"], "the new policies are shown")
        service.stop()
    finally:
        service.close()


def lists_breakers():
    service = Service()
    try:
        # The check of the playbook never passes: each run fails.
        os.remove(os.path.join(service.folder, "restart.sh"))
        service.start()
        check(service.command("breakers", "list") == "none\n", "no breaker has counted anything")
        service.post("/api/signals", FAILURE)
        listed = wait_for("a failed run to be counted",
                          lambda: service.command("breakers", "list", "--json"))
        breaker = json.loads(listed)
        check(breaker["playbook"] == "restart_service" and breaker["state"] == "closed" and
              breaker["failures"] == 1 and breaker["failures_max"] == 5, "one failure of five")
        check("restart_service" in service.command("breakers", "list"), "people see it too")
        check('self_heal_breakers{state="closed"} 1' in service.get("/metrics"), "and metrics")
        service.stop()
        stopped = service.command("breakers", "list", "--json", "--data-dir",
                                  os.path.join(service.folder, "data"))
        check(stopped == listed, "a stopped service shows the same")
        check(json.loads(service.command("replay", "--json"))["differing"] == 0, "replay is equal")
    finally:
        service.close()


def finds_one_changed_byte():
    service = Service()
    try:
        service.start()
        service.post("/api/signals", FAILURE)
        service.incident("closed")
        service.stop()
        exported = service.command("audit", "export")
        good = service.write("good.ndjson", exported)
        service.command("audit", "verify", good, config=False)
        at = exported.index("service_down")
        bad = service.write("bad.ndjson", exported[:at] + "Service_down"[:1] + exported[at + 1:])
        shown = service.command("audit", "verify", bad, "--json", config=False, expect=1)
        check("offset" in json.loads(shown)["first_bad"], "the first bad record is named")
    finally:
        service.close()


def says_what_is_wrong():
    service = Service()
    try:
        service.write("service.yaml", "bus: {kind: embedded}\nmoed: execute\n")
        for arguments, config in ((("run",), True), (("config", "check", service.config), False)):
            said = service.complaint(*arguments, config=config, expect=2)
            check("service.yaml" in said and "moed" in said, "the key is named: " + said.strip())
        service.write("service.yaml", "bus: {kind: kafka, properties: {linger.mz: 5}}\n")
        said = service.complaint("config", "check", service.config, config=False, expect=2)
        check("service.yaml" in said and "'linger.mz'" in said,
              "a property of Kafka is named: " + said.strip())
    finally:
        service.close()


def keeps_to_its_own_folder():
    service = Service()
    try:
        service.start()
        service.post("/api/signals", FAILURE)
        healed = service.incident("closed")["id"]
        service.stop()
        said = service.complaint("run", "--set", "instance=another", expect=2)
        check("belongs to instance" in said and "this is instance another" in said,
              "the folder of another instance is refused: " + said.strip())
        service.start()
        check(service.incident("closed")["id"] == healed, "its own goes on, nothing was lost")
        service.stop()
        check(json.loads(service.command("replay", "--json"))["differing"] == 0, "replay is equal")
    finally:
        service.close()


Service.incidents_stopped = lambda self: self.command(
    "incidents", "list", "--json", "--data-dir", os.path.join(self.folder, "data")).splitlines()

run(heals_and_proves_it, survives_kill_and_takes_up_its_run, is_scraped_by_prometheus,
    waits_for_a_person, asks_a_person_while_many_are_silent,
    ends_what_nobody_tells_of, observes_only, shows_what_a_reload_brought, lists_breakers,
    finds_one_changed_byte, says_what_is_wrong, keeps_to_its_own_folder)
