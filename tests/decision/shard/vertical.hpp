#pragma once
// One shard's six stages with a playbook, a graph and a person, driven cut by cut.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/signature.hpp"
#include "decision/audit/run_audit.hpp"
#include "decision/runner/locks.hpp"
#include "decision/shard/shard_fold.hpp"
#include "topics/shard_message.hpp"

namespace selfheal {

constexpr TimeMs begin_ms = 1'800'000'000'000;

inline const SigningKey& shard_key() {
  static const SigningKey key = generate_signing_key();
  return key;
}

inline const SigningKey& person_key() {
  static const SigningKey key = generate_signing_key();
  return key;
}

inline Playbook scale_up() {
  Playbook playbook;
  playbook.name = "scale_up_instances";
  playbook.risk = "low";
  playbook.auto_approve = true;
  playbook.triggers = {"latency_spike"};
  playbook.effect = "idempotent";
  Step step;
  step.name = "start_instance";
  step.run = {Program{.argv = {"/bin/true"}}};
  step.rollback = {step};
  playbook.steps = {step};
  Condition falls{.metric = "latency_p99_seconds", .op = "lt", .value = 0.5};
  falls.hold.ms = 2000;
  falls.within.ms = 10000;
  playbook.verify = {falls};
  return playbook;
}

inline Settings settings() {
  Settings settings;
  settings.mode = "execute";
  settings.playbooks = {scale_up()};
  settings.policies = {{"self_heal_execute", "allow", {}},
                       {"self_heal_execute_proactive", "allow", {}}};
  settings.graph.services = {{.name = "catalog"}, {.name = "shop", .depends_on = {"catalog"}}};
  settings.keys = {{"person", "operator", person_key().public_hex},
                   {"journal", "shard", shard_key().public_hex}};
  return settings;
}

// One shard and the fleet's; every feed is a cut, followed by cuts until nothing more is said.
class Vertical {
 public:
  explicit Vertical(Settings given)
      : settings_(std::make_shared<const Settings>(std::move(given))) {
    fold_.configure(settings_);
    fleet_fold_.configure(settings_);
    chain_.epoch = fleet_chain_.epoch = 1;
    chain_.partitions = fleet_chain_.partitions = 1;
    fleet_chain_.shard = 1;
  }

  void predict(double likelihood, DurationMs age_ms = 0, const char* service = "catalog") {
    auto batch = std::make_shared<SignalBatch>();
    SignalDetail& detail = batch->add_detail();
    detail.code = "latency_spike";
    detail.likelihood = likelihood;
    detail.lead_time_seconds = 600;
    batch->signals.push_back({.type = SignalType::prediction,
                              .time_ms = now_ms - age_ms,
                              .received_ms = now_ms,
                              .service = service,
                              .sentinel = "probe",
                              .detail = &detail});
    feed(batch, {}, {});
  }

  void metric(const std::string& name, double value, const char* service = "catalog") {
    auto batch = std::make_shared<SignalBatch>();
    batch->signals.push_back({.time_ms = now_ms,
                              .received_ms = now_ms,
                              .service = service,
                              .metric = batch->keep(name),
                              .value = value});
    feed(batch, {}, {});
  }

  void take(std::shared_ptr<const SignalBatch> batch) { feed(std::move(batch), {}, {}); }

  void answer(const std::string& kind, const std::string& hash) {
    answer(kind, hash, last<Proposal>()->proposal_id);
  }
  void answer(const std::string& kind, const std::string& hash, const std::string& proposal_id) {
    ControlInput control;
    control.message.kind = kind;
    control.message.target = proposal_id;
    control.message.content_hash = hash;
    control.message.time_ms = now_ms;
    control.message.key_id = "person";
    control.message.nonce = to_hex(static_cast<std::uint64_t>(++nonce_));
    control.message.signature = *sign(person_key().secret_hex, control.message.signed_text());
    feed(nullptr, {control}, {});
  }

  // A message with which a person ends a doubt.
  ControlMessage resolution(const std::string& outcome, const std::string& key_id = "person") {
    ControlMessage message{.kind = "resolve"};
    message.target = last<RunIntent>()->action_id;
    message.body = outcome;
    message.reason = "looked at it";
    message.time_ms = now_ms;
    message.key_id = key_id;
    message.nonce = to_hex(static_cast<std::uint64_t>(++nonce_));
    message.signature = *sign(person_key().secret_hex, message.signed_text());
    return message;
  }
  void say(const ControlMessage& message) {
    ControlInput control;
    control.message = message;
    feed(nullptr, {control}, {});
  }

  void step_ends(const std::string& status) { step_of(*last<RunStarted>(), status); }
  void step_of(const RunStarted& started, const std::string& status) {
    StepResult result{.action_id = started.action_id,
                      .attempt = started.attempt,
                      .step = started.step,
                      .rollback = started.rollback};
    result.status = status;
    feed(nullptr, {}, {result});
  }

  void probe_ends(bool holds) {
    const ProbeRequested& asked = *last<ProbeRequested>();
    feed(nullptr, {},
         {ProbeResult{asked.probe_id, asked.action_id, asked.purpose, asked.condition, holds, ""}});
  }

  // Stages that know only what the events say, as after a crash without saved pages.
  void continue_by_another_owner() {
    fold_ = ShardFold();
    fold_.configure(settings_);
    for (const Batch& batch : batches) fold_.apply(batch.events, batch.facts, batch.tick_ms);
    chain_.epoch += 1;
  }

  // The same stages with what they know, as after a restart that lost nothing.
  void claim_anew() { chain_.epoch += 1; }

  void change_settings(Settings given) {
    settings_ = std::make_shared<const Settings>(std::move(given));
    settings_changed_ = true;
    feed(nullptr, {}, {});
  }

  // Time passes, with a cut whenever a timer is due. To add to now_ms is an outage: no cut at all.
  void pass(DurationMs milliseconds) {
    const TimeMs end_ms = now_ms + milliseconds;
    while (fold_.next_due_ms() > now_ms && fold_.next_due_ms() < end_ms) {
      now_ms = fold_.next_due_ms();
      feed(nullptr, {}, {});
    }
    now_ms = end_ms;
    feed(nullptr, {}, {});
  }

  template <class Body>
  const Body* last() const {
    for (auto each = events.rbegin(); each != events.rend(); ++each) {
      if (const auto* body = std::get_if<Body>(&each->body)) return body;
    }
    return nullptr;
  }

  template <class Body>
  int count() const {
    int found = 0;
    for (const Event& event : events) found += std::holds_alternative<Body>(event.body) ? 1 : 0;
    return found;
  }

  bool check_passed(const std::string& name) const {
    for (const CheckResult& check : last<Verdict>()->checks) {
      if (check.name == name) return check.passed;
    }
    ADD_FAILURE() << "no check " << name;
    return false;
  }

  // What the auditor finds in the events; all that was begun has to have ended.
  std::string violations() const {
    RunAudit checker;
    std::string found;
    for (const Batch& batch : batches) {
      JournalRecord record;
      record.kind = JournalKind::batch;
      record.seq = batch.facts.seq;
      record.cut.tick_ms = batch.tick_ms;
      record.events = batch.events;
      checker.take(record, "");
    }
    checker.finish(true);
    for (const Violation& each : checker.violations()) found += each.what + "; ";
    return found;
  }

  // What the stages would save, after deciding and after following the events alone.
  std::map<std::string, std::string> lasting_pages() { return pages_of(fold_); }
  std::map<std::string, std::string> followed_pages() const {
    ShardFold follower;
    follower.configure(settings_);
    for (const Batch& batch : batches) follower.apply(batch.events, batch.facts, batch.tick_ms);
    return pages_of(follower);
  }

  // Everything that has changed since it was last asked for, as a store would hold it.
  std::map<std::string, std::string> all_pages(ShardKind kind) {
    PageMap map;
    (kind == ShardKind::fleet ? fleet_fold_ : fold_).save(map);
    return map.pages;
  }

  // Of what is under way, where another fold version begins: after deciding, and after following.
  std::map<std::string, std::string> pages_for_another_fold(bool followed) {
    ShardFold follower;
    follower.configure(settings_);
    for (const Batch& batch : batches) follower.apply(batch.events, batch.facts, batch.tick_ms);
    ShardFold& fold = followed ? follower : fold_;
    fold.forget_soft();
    PageMap map;
    fold.save(map);
    std::erase_if(map.pages, [](const auto& page) {
      return !page.first.starts_with("runner/run/") && !page.first.starts_with("verifier/run/");
    });
    return map.pages;
  }

  struct Batch {
    std::vector<Event> events;
    ShardFacts facts;
    TimeMs tick_ms = 0;
  };
  // Another run, of a shard that this test does not have, asks the fleet's shard.
  void other_run_asks(const std::string& target, DurationMs hold_ms) {
    JournalRecord record;
    record.cut.tick_ms = now_ms;
    record.events = {
        {"", "", "",
         LockRequested{"act-other", 1, target, "other", "other", hold_ms, now_ms + hold_ms}}};
    hear_fleet({signed_message(record, 0)});
  }

  DurationMs behind_ms = 0;   // input of so long is still to be taken
  bool fleet_answers = true;  // false: what is said to it is lost, as while nobody owns it
  TimeMs now_ms = begin_ms;
  std::vector<Event> events;
  std::vector<Event> fleet_events;
  std::vector<Batch> batches;

 private:
  static ControlInput signed_message(const JournalRecord& record, std::size_t k) {
    ControlInput control;
    control.message = shard_message(record, k, 1)->message;
    control.message.key_id = "journal";
    control.message.signature = *sign(shard_key().secret_hex, control.message.signed_text());
    return control;
  }

  // What the events of a cut say to another shard.
  static std::vector<ControlInput> messages_of(const Token& token) {
    std::vector<ControlInput> out;
    JournalRecord record;
    record.shard = token.facts.shard;
    record.seq = token.facts.seq;
    record.cut = token.cut;
    record.events = token.events;
    for (std::size_t k = 0; k < record.events.size(); ++k) {
      if (shard_message(record, k, 1)) out.push_back(signed_message(record, k));
    }
    return out;
  }

  // What the fleet's shard answers to that.
  std::vector<ControlInput> hear_fleet(std::vector<ControlInput> said) {
    if (!fleet_answers) return {};
    Token token;
    token.facts = facts_after(fleet_chain_);
    token.settings = settings_;
    token.cut.tick_ms = now_ms;
    token.controls = std::move(said);
    fleet_fold_.decide(token);
    fleet_events.insert(fleet_events.end(), token.events.begin(), token.events.end());
    if (!is_empty(token)) fleet_chain_.seq += 1;
    return messages_of(token);
  }

  // Without what is learnt from signals, which no event carries.
  static std::map<std::string, std::string> pages_of(ShardFold& fold) {
    PageMap map;
    fold.save(map);
    std::erase_if(map.pages, [](const auto& page) {
      return !page.first.starts_with("runner/run/") && !page.first.starts_with("approver/doubt/") &&
             !page.first.starts_with("learner/") && !page.first.starts_with("scheduler/incident/");
    });
    return map.pages;
  }

  void feed(std::shared_ptr<const SignalBatch> signals, std::vector<ControlInput> controls,
            std::vector<EmbeddedInput> inputs) {
    constexpr int follow_ups_max = 20;
    for (int i = 0; i < follow_ups_max; ++i) {
      Token token;
      token.facts = facts_after(chain_);
      token.settings = settings_;
      token.settings_changed = std::exchange(settings_changed_, false);
      token.cut.tick_ms = now_ms;
      token.cut.caught_up_through_ms = now_ms - behind_ms;
      token.cut.inputs = std::move(inputs);
      token.signals = signals ? signals : std::make_shared<const SignalBatch>();
      token.controls = std::move(controls);
      fold_.decide(token);
      batches.push_back({token.events, token.facts, token.cut.tick_ms});
      events.insert(events.end(), token.events.begin(), token.events.end());
      controls = hear_fleet(messages_of(token));
      if (is_empty(token) && controls.empty()) return;
      if (!is_empty(token)) chain_.seq += 1;
      signals = nullptr;
      inputs.clear();
    }
  }

  std::shared_ptr<const Settings> settings_;
  bool settings_changed_ = false;
  ShardFold fold_;
  Chain chain_;
  ShardFold fleet_fold_{make_stages(ShardKind::fleet)};
  Chain fleet_chain_;
  int nonce_ = 0x10000000;
};

}  // namespace selfheal
