#include "tests/simulation/simulated_settings.hpp"

#include <array>

namespace selfheal::simulation {
namespace {

Playbook playbook(const std::string& name, const std::string& code, bool automatic,
                  const std::string& effect, bool edited) {
  Playbook book;
  book.name = name;
  book.risk = automatic ? "low" : "moderate";
  book.auto_approve = automatic;
  book.triggers = {code};
  book.effect = effect;
  Step act;
  act.name = "act";
  act.run = {Program{.argv = {"/bin/true"}}};
  act.retries = 1;
  Step undo = act;
  act.rollback = {undo};
  Step rest;
  rest.name = "rest";
  rest.wait.ms = 1500;
  book.steps = {act, rest};
  // A run that has begun goes on with what it began with.
  if (edited) book.steps = {rest, act};
  Condition up{.metric = "up", .op = "gte", .value = 1};
  up.hold.ms = 1000;
  up.within.ms = 20000;
  book.verify = {up};
  return book;
}

}  // namespace

const SigningKey& journal_key() {
  static const SigningKey key = generate_signing_key();
  return key;
}
const SigningKey& person_key() {
  static const SigningKey key = generate_signing_key();
  return key;
}

Settings settings_for(Dice& dice, bool once_only, bool edited) {
  Settings settings;
  settings.mode = dice.chance(0.9) ? "execute" : (dice.chance(0.5) ? "dry_run" : "observe");
  TroubleRule down{.code = "service_down", .metric = "up", .op = "lt", .value = 1};
  down.hold.ms = 2000;
  settings.predictor.rules = {down};
  settings.predictor.bucket.ms = 1000;
  settings.predictor.repeat_after.ms = 5000;
  settings.limits.proposals_per_hour_per_service = 2 + static_cast<std::int64_t>(dice.below(20));
  settings.limits.backoff_base.ms = 1000;
  if (dice.chance(0.5)) {
    settings.limits.fleet_concurrent = 1 + static_cast<std::int64_t>(dice.below(4));
    settings.limits.fleet_starts_per_minute = 2 + static_cast<std::int64_t>(dice.below(20));
    settings.limits.fleet_wait.ms = 5000 + static_cast<DurationMs>(dice.below(60000));
  }
  settings.approval.request_expires.ms = 30000;
  if (dice.chance(0.5)) {
    settings.silence.services_min = 1;
    settings.silence.after.ms = 2000 + static_cast<DurationMs>(dice.below(10000));
    settings.silence.window.ms = 20000;
    settings.silence.hold_max.ms = 20000 + static_cast<DurationMs>(dice.below(40000));
  }
  settings.playbooks = {
      playbook("restart", "service_down", true, once_only ? "neither" : "idempotent", edited),
      playbook("reboot", "service_down", dice.chance(0.5), "neither", edited),
      playbook("flush", "elevated_errors", dice.chance(0.5), "idempotent", edited)};
  if (edited) settings.playbooks.pop_back();
  settings.policies = {{"self_heal_execute", "allow", {}},
                       {"self_heal_execute_proactive", "allow", {}}};
  for (int i = 0; i < 4; ++i) {
    ServiceEntry service{.name = "service-" + std::to_string(i)};
    if (i > 0) service.depends_on = {"service-" + std::to_string(i - 1)};
    settings.graph.services.push_back(service);
  }
  settings.keys = {{"journal", "shard", journal_key().public_hex},
                   {"person", "operator", person_key().public_hex}};
  return settings;
}

const std::string& shared_settings(std::uint64_t number, bool once_only, bool edited) {
  struct Kept {
    std::uint64_t number = 0;
    std::string text;  // empty: none yet
  };
  thread_local std::array<Kept, 4> all_kept;
  Kept& kept = all_kept[(once_only ? 1 : 0) + (edited ? 2 : 0)];
  if (kept.text.empty() || kept.number != number) {
    Dice dice(number);
    kept = {number, settings_text(settings_for(dice, once_only, edited))};
  }
  return kept.text;
}

}  // namespace selfheal::simulation
