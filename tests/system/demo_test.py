"""The demo, as script/run shows it to a newcomer: every scenario holds."""
import json
import subprocess

from support import PROGRAM, check, run


def demo_holds():
    done = subprocess.run([PROGRAM, "demo", "--json"], capture_output=True, text=True, timeout=300)
    print(done.stderr[-4000:])
    shown = json.loads(done.stdout)
    for scenario in shown["scenarios"]:
        check(scenario["passed"], f"{scenario['name']}: {scenario}")
    check(done.returncode == 0, "exit 0")


run(demo_holds)
