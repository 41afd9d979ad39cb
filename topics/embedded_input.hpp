#pragma once
// Inputs that are on no topic: what steps and probes answered. A cut carries them by value, so that
// the journal alone is enough to decide again.
#include <string>
#include <tuple>
#include <variant>

#include "base/fields.hpp"
#include "base/time.hpp"
#include "topics/json_codec.hpp"

namespace selfheal {

// What the effect point said of one started step. Secrets are already scrubbed from `output`.
struct StepResult {
  static constexpr const char* kName = "step_result";
  std::string action_id;
  std::int64_t attempt = 1;
  std::int64_t step = 0;
  bool rollback = false;
  std::string status;  // ok, failed, timeout, expired, fenced, in_doubt, lost, dry_run
  std::int64_t exit_code = 0;
  std::string output;       // excerpt, at most 2 KiB
  std::string output_hash;  // SHA-256 of the whole output, hex
  std::int64_t took_ms = 0;
  static constexpr auto fields() {
    return std::tuple{
        field("action_id", &StepResult::action_id), field("attempt", &StepResult::attempt),
        field("step", &StepResult::step),           field("rollback", &StepResult::rollback),
        field("status", &StepResult::status),       field("exit_code", &StepResult::exit_code),
        field("output", &StepResult::output),       field("output_hash", &StepResult::output_hash),
        field("took_ms", &StepResult::took_ms)};
  }
  bool operator==(const StepResult&) const = default;
};

// What a probe of one condition found.
struct ProbeResult {
  static constexpr const char* kName = "probe_result";
  std::string probe_id;
  std::string action_id;
  std::string purpose;  // as in the request
  std::int64_t condition = 0;
  bool holds = false;
  std::string detail;  // at most 512 bytes
  static constexpr auto fields() {
    return std::tuple{
        field("probe_id", &ProbeResult::probe_id), field("action_id", &ProbeResult::action_id),
        field("purpose", &ProbeResult::purpose),   field("condition", &ProbeResult::condition),
        field("holds", &ProbeResult::holds),       field("detail", &ProbeResult::detail)};
  }
  bool operator==(const ProbeResult&) const = default;
};

using EmbeddedInput = std::variant<StepResult, ProbeResult>;

Json embedded_to_json(const EmbeddedInput& input);
Result<EmbeddedInput> embedded_from_json(const Json& json);

// The same bytes without a tree.
void append_embedded(std::string& out, const EmbeddedInput& input);
// False: not certain (see json_reader.hpp).
bool read_embedded(JsonReader& in, EmbeddedInput& input);

}  // namespace selfheal
