#include "decision/audit/approval_audit.hpp"

#include <gtest/gtest.h>

#include "decision/playbook.hpp"
#include "decision/runner/runner.hpp"

namespace selfheal {
namespace {

constexpr TimeMs begin_ms = 1'800'000'000'000;

Settings with_one_place() {
  Settings settings;
  settings.limits.fleet_concurrent = 1;
  Playbook playbook;
  playbook.name = "restart";
  playbook.risk = "low";
  playbook.auto_approve = true;
  settings.playbooks = {playbook};
  return settings;
}

// A shard whose records a build of that fold version writes.
struct Audited {
  explicit Audited(std::int64_t fold_version) {
    JournalRecord claim;
    claim.kind = JournalKind::claim;
    claim.fold_version = fold_version;
    audit.take(claim, report);
    JournalRecord config;
    config.kind = JournalKind::config;
    config.content = settings_text(settings);
    audit.take(config, report);
  }
  Proposal proposal(const std::string& id) const {
    Proposal made;
    made.proposal_id = id;
    made.playbook = "restart";
    made.playbook_hash = playbook_hash(settings.playbooks[0]);
    made.service = id;
    made.attempt = 1;
    return made;
  }
  Verdict verdict(const std::string& id, const std::string& by) const {
    const Proposal of = proposal(id);
    Verdict made{.proposal_id = id, .verdict = "approved", .approved_by = by};
    made.content_hash = approval_hash(of.playbook_hash, of.service, "", "", {});
    made.mode = "execute";
    return made;
  }
  RunIntent intent(const std::string& id) const {
    RunIntent made;
    made.action_id = "act-" + id;
    made.proposal_id = id;
    made.content_hash = verdict(id, "policy").content_hash;
    return made;
  }
  void take(const std::vector<EventBody>& bodies) {
    JournalRecord record;
    record.kind = JournalKind::batch;
    record.cut.tick_ms = now_ms;
    for (const EventBody& body : bodies) record.events.push_back({"", "", "timer", body});
    audit.take(record, report);
  }
  std::string violations() const {
    std::string found;
    for (const Violation& each : report.violations()) found += each.what + "; ";
    return found;
  }

  Settings settings = with_one_place();
  AuditReport report;
  ApprovalAudit audit{0, [](std::int64_t, Offset) { return std::nullopt; }};
  TimeMs now_ms = begin_ms;
};

TEST(ApprovalAudit, TwoApprovalsOfOneCutDoNotShareTheLastPlace) {
  for (const std::int64_t fold_version : {6, 7}) {
    Audited shard(fold_version);
    shard.take({shard.proposal("a"), shard.proposal("b"), shard.verdict("a", "policy"),
                shard.verdict("b", "policy"), shard.intent("a"), shard.intent("b")});
    EXPECT_EQ(shard.violations(),
              fold_version < 7 ? "" : "approved by policy beyond limits.fleet_concurrent; ")
        << "builds before took the place with the intent";
  }
}

TEST(ApprovalAudit, APlaceIsFreeWhenItsRunHasEnded) {
  Audited shard(7);
  shard.take({shard.proposal("a"), shard.verdict("a", "policy"), shard.intent("a")});
  shard.take({RunFinished{.action_id = "act-a", .result = "precondition_failed"},
              shard.proposal("b"), shard.verdict("b", "policy"), shard.intent("b")});
  EXPECT_EQ(shard.violations(), "");
}

TEST(ApprovalAudit, APersonsApprovalAfterTheEndOfItsRequestIsFound) {
  for (const DurationMs after_ms : {999, 1000}) {
    Audited shard(7);
    Verdict held = shard.verdict("a", "policy");
    held.verdict = "held_for_person";
    held.expires_ms = begin_ms + 1000;
    shard.take({shard.proposal("a"), held});
    shard.now_ms += after_ms;
    shard.take({shard.verdict("a", "person")});
    EXPECT_EQ(shard.violations().find("after the request had expired") != std::string::npos,
              after_ms == 1000);
  }
}

}  // namespace
}  // namespace selfheal
