#pragma once
// A signal as the stages see it: one observation about a subject. The forms on the wire (JSON,
// NDJSON, CloudEvents, binary frame) are decoded into this by signal_decoder.hpp.
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.hpp"
#include "topics/log.hpp"

namespace selfheal {

// Numbers appear in binary frames: never renumber.
enum class SignalType : std::uint8_t {
  metric = 0,
  heartbeat = 1,
  failure = 2,
  alert = 3,
  prediction = 4,
  dispatch = 5,
  degradation = 6,
};
constexpr int signal_type_count = 7;

// The name in JSON and metrics.
std::string_view to_string(SignalType type);

// What only the rarer types carry. Absent text is empty; absent numbers are as initialised.
struct SignalDetail {
  std::string code;      // failure, prediction, degradation
  std::string message;   // failure, degradation
  std::string severity;  // alert (free text), degradation (low, medium, high, critical)
  std::string worker;
  std::string worker_type;
  std::string task_id;
  std::string status;                         // alert: firing or resolved
  std::string alertname;                      // alert
  std::string fingerprint;                    // alert
  std::string impact;                         // prediction
  std::string evidence;                       // degradation: JSON text as it came
  std::map<std::string, std::string> labels;  // alert; metrics keep theirs in Signal::labels
  std::vector<std::string> suggested_playbooks;
  double confidence = 0.9;       // degradation
  double likelihood = 0;         // prediction
  double lead_time_seconds = 0;  // prediction
  double health_score = 100;     // heartbeat, 0 to 100
  double progress = -1;          // heartbeat; -1 where absent
};

// The views point into the SignalBatch that holds the signal.
struct Signal {
  SignalType type = SignalType::metric;
  Offset offset = 0;         // of the record that carried it
  std::uint32_t line = 0;    // within the record, from 0
  TimeMs time_ms = 0;        // when it was observed
  TimeMs received_ms = 0;    // the record's timestamp
  std::string_view service;  // never empty
  std::string_view metric;   // metric only
  double value = 0;          // metric only; always finite
  std::string_view labels;   // metric only: "k=v,k=v" sorted by key, empty where there are none
  std::string_view resource_kind;
  std::string_view resource_id;
  std::string_view sentinel;
  std::string_view id;
  const SignalDetail* detail = nullptr;  // set for every type but metric
};

// A line or a whole record that could not be read.
struct DecodeFailure {
  Offset offset = 0;
  std::int32_t line = -1;  // -1: the whole record
  std::string reason;      // a stable word, then a sentence: "wrong_type: value is not a number"
};

// Signals and the memory their views point to. Grows in blocks, so that views stay valid.
class SignalBatch {
 public:
  std::vector<Signal> signals;
  std::vector<DecodeFailure> failures;

  // A copy of `text` that lives as long as the batch.
  std::string_view keep(std::string_view text);
  // The same, with `padding` zeros behind it, so that a parser may read on.
  std::string_view keep_padded(std::string_view text, std::size_t padding);
  SignalDetail& add_detail();
  // Leaves nothing but room for the next signals.
  void clear();
  // Memory that a cleared batch holds on to.
  std::size_t held_bytes() const;

 private:
  char* room(std::size_t bytes);

  static constexpr std::size_t block_bytes = std::size_t{64} * 1024;
  std::vector<std::unique_ptr<char[]>> blocks_;
  std::vector<std::unique_ptr<char[]>> large_;  // texts longer than a block
  std::size_t block_index_ = 0;
  std::size_t used_ = block_bytes;
  std::deque<SignalDetail> details_;
};

}  // namespace selfheal
