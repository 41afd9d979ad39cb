"""kill -9 at each numbered point of the effect order: the effect happens at most once."""
import http.client
import json

from support import Service, check, run, wait_for

FAILURE = json.dumps({"type": "failure", "service": "payments", "code": "service_down", "id": "f1"})

# Points of the service, and points of the action shim at the effect itself.
SERVICE_POINTS = [f"after_append:{n}" for n in range(1, 9)] + ["before_effect", "before_spawn"]
SHIM_POINTS = ["after_started", "after_effect", "after_result"]


def story(environment, effect):
    service = Service(effect=effect, step_seconds=0.2)
    try:
        try:
            service.start(environment)
        except AssertionError:
            service.start()  # it died before it was ready: the first cut is one of the points
        taken = False
        try:
            service.post("/api/signals", FAILURE)
            taken = True
        except (OSError, http.client.HTTPException, AssertionError):
            pass  # it may die while it takes the signal
        def over():
            return service.process.poll() is not None or any(
                i.get("state") in ("closed", "escalated", "in_doubt") for i in service.incidents())
        try:
            wait_for("the crash", over, 30)
        except Exception:  # noqa: BLE001 - the listing fails when the service dies under it
            pass
        if service.process.poll() is not None:
            service.start()
        if not taken:
            service.post("/api/signals", FAILURE)  # one id counts once, whether or not it was taken
        def ended():
            return [i for i in service.incidents() if i.get("state") in ("closed", "escalated")]
        incident = wait_for("the story's end", ended, 60)[0]
        lines = service.effect_lines()
        service.stop()
        replay = json.loads(service.command("replay", "--json"))
        check(replay["differing"] == 0, "replay is equal")
        json.loads(service.command("audit", "verify", "--deep", "--json"))
        return incident, lines
    finally:
        service.close()


def service_dies_at_each_point():
    for point in SERVICE_POINTS:
        incident, lines = story({"SELFHEAL_FAILPOINT": point}, "neither")
        check(len(lines) <= 1, f"{point}: {len(lines)} effects, incident {incident['state']}")


def shim_dies_at_each_point():
    for point in SHIM_POINTS:
        incident, lines = story({"SELF_HEAL_SHIM_FAILPOINT": point}, "neither")
        check(len(lines) <= 1, f"{point}: {len(lines)} effects, incident {incident['state']}")


run(service_dies_at_each_point, shim_dies_at_each_point)
