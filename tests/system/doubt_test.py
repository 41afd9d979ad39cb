"""A run in doubt and the person who ends it; records that a killed service leaves on the bus."""
import json

from support import PUBLISHES, Service, check, run, wait_for

FAILURE = json.dumps({"type": "failure", "service": "payments", "code": "service_down", "id": "f1"})

def run_in(service, state):
    return wait_for(f"a run in state {state}", lambda: service.runs(state))[0]


def proves_its_journal(service):
    service.stop()
    replay = json.loads(service.command("replay", "--json"))
    check(replay["differing"] == 0, "replay is equal")
    service.command("audit", "verify", "--deep", "--json")


def left_in_doubt(point):
    """A run whose shim died there, in a service that was killed and started again since."""
    service = Service(effect="neither", step_seconds=0.1)
    service.start({"SELF_HEAL_SHIM_FAILPOINT": point})
    service.post("/api/signals", FAILURE)
    found = run_in(service, "in_doubt")
    service.incident("escalated")
    service.kill()
    service.start()
    return service, found


def what_happened_is_verified():
    service, found = left_in_doubt("after_effect")
    try:
        check(found["effect"] == "neither" and found["in_doubt_since_ms"] > 0, "it is listed as it is")
        shown = json.loads(service.command("runs", "show", found["id"], "--json"))
        check("selfheal resolve " + found["id"] in shown["look_at"], "and says what to look at")
        service.command("resolve", "act-0-0-0", "--outcome", "happened", expect=1)
        refused = service.post(f"/api/runs/{found['id']}/resolve", '{"outcome":"happened"}',
                               expect=403)
        check(refused["code"] == "CONFIRMATION_REQUIRED", "an answer over HTTP needs a confirmation")
        told = service.command("resolve", found["id"], "--outcome", "happened",
                               "--reason", "the file is there")
        check("succeeded" in told, f"the command tells what became of it: {told.strip()}")
        closed = service.incident("closed")
        check(closed["outcome"] == "recovered", "it was verified and recovered")
        story = service.command("incidents", "show", closed["id"])
        check("happened, says operator: the file is there" in story, "who and why are in the story")
        check("learnt" in story, "and it was learnt")
        check(len(service.effect_lines()) == 1, "nothing was repeated")
        service.command("resolve", found["id"], "--outcome", "happened", expect=1)
        proves_its_journal(service)
    finally:
        service.close()


def what_did_not_happen_is_done_again():
    service, found = left_in_doubt("after_started")
    try:
        check(not service.effect_lines(), "nothing has happened")
        service.command("resolve", found["id"], "--outcome", "not_happened")
        closed = service.incident("closed")
        check(closed["outcome"] == "recovered", "the next run healed it")
        lines = service.effect_lines()
        check(len(lines) == 1 and not lines[0].startswith(found["id"]), "by an action of its own")
        proves_its_journal(service)
    finally:
        service.close()


def published(effect, environment):
    service = Service(effect=effect)
    service.write("playbooks/restart_service.yaml", PUBLISHES.format(effect=effect, topic="payments.commands"))
    service.start(environment)
    service.post("/api/signals", FAILURE)
    return service


def a_record_is_published_once():
    service = published("neither", {})
    try:
        found = run_in(service, "succeeded")
        check(found["steps"][0]["output"] == "stored in payments.commands/0 at offset 0", "it is stored")
        proves_its_journal(service)
    finally:
        service.close()


def a_service_killed_while_it_publishes():
    """The mark is on the disk and the record on the bus; the result is not."""
    for effect in ["idempotent", "neither"]:
        service = published(effect, {"SELF_HEAL_SHIM_FAILPOINT": "after_effect"})
        try:
            wait_for("the service to die", lambda: service.process.poll() is not None)
            service.start()
            if effect == "idempotent":
                found = run_in(service, "succeeded")
                check(found["steps"][-1]["output"].endswith("at offset 1"),
                      "idempotent: it is repeated, a second record")
            else:
                found = run_in(service, "in_doubt")
                check(len(found["steps"]) == 1, "neither: it is not repeated, a person is asked")
            proves_its_journal(service)
        finally:
            service.close()


def nobody_publishes_into_the_journal():
    service = Service()
    try:
        file = service.write("playbooks/restart_service.yaml", PUBLISHES.format(
            effect="neither", topic=service.prefix + ".journal"))
        told = service.command("playbooks", "lint", file, expect=1)
        check("is selfheal's own" in told, "the playbook is refused by name: " + told.strip())
        service.command("config", "check", service.config, config=False, expect=2)
    finally:
        service.close()


run(nobody_publishes_into_the_journal, what_happened_is_verified,
    what_did_not_happen_is_done_again, a_record_is_published_once,
    a_service_killed_while_it_publishes)
