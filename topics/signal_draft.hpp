#pragma once
// A signal as one JSON object tells it, before it is judged. Internal to the decoder.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "topics/signal.hpp"
#include "topics/signal_check.hpp"

namespace selfheal {

// What the members of a metric said, unjudged. The views point into the text, or into what read it.
struct MetricMembers {
  std::string_view service;
  std::string_view metric;
  std::string_view time;
  std::string_view sentinel;
  std::string_view id;
  std::string_view resource_kind;
  std::string_view resource_id;
  std::optional<std::int64_t> time_ms;
  std::optional<double> value;
};

// The same of any signal.
struct SignalMembers : MetricMembers {
  std::string_view type;
  std::string_view code;
  std::string_view message;
  std::string_view severity;
  std::string_view worker;
  std::string_view worker_type;
  std::string_view task_id;
  std::string_view status;
  std::string_view alertname;
  std::string_view fingerprint;
  std::string_view impact;
  std::string_view evidence;  // JSON text
  std::string_view data;      // JSON text of an object
  std::optional<double> confidence;
  std::optional<double> likelihood;
  std::optional<double> lead_time_seconds;
  std::optional<double> health_score;
  std::optional<double> progress;
  bool cloud_event = false;  // has "specversion"
};

struct SignalDraft : SignalMembers {
  LabelList labels;
  std::vector<std::string_view> suggested_playbooks;
  std::string wrong;  // the first member of a wrong type; the rest is read all the same

  // Keeps what the lists have allocated.
  void clear() {
    static_cast<SignalMembers&>(*this) = {};
    labels.clear();
    suggested_playbooks.clear();
    wrong.clear();
  }
};

}  // namespace selfheal
