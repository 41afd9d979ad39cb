#pragma once
// What makes a signal acceptable, whichever form it came in: both decoders judge by these. A
// refusal is a reason as DecodeFailure has it ("too_long: service is longer than 256 bytes"); an
// empty text means fine. Pure and thread-safe; no allocation where all is well.
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "topics/signal.hpp"

namespace selfheal {

namespace signal_limits {
constexpr std::size_t name_bytes_max = 256;   // service, metric, label keys, ids of workers
constexpr std::size_t text_bytes_max = 4096;  // every other text is cut to this, at a character
constexpr std::size_t labels_max = 64;
constexpr std::size_t labels_bytes_max = 4096;  // of a metric, canonical; more is refused
constexpr std::size_t detail_labels_bytes_max = std::size_t{64} * 1024;  // of other signals
constexpr std::size_t playbooks_max = 64;
constexpr std::size_t signals_max = 10'000;      // lines or rows of one record
constexpr TimeMs time_ms_min = 946'684'800'000;  // 2000-01-01
constexpr DurationMs ahead_ms_max = one_day_ms;  // of the record's own time
}  // namespace signal_limits

bool has_control_character(std::string_view text);

// At most `bytes_max` bytes, never half a UTF-8 character.
std::string_view cut_text(std::string_view text, std::size_t bytes_max);

// Only for times that the producer gave; the record's own time is taken as it is.
std::string check_time(TimeMs time_ms, TimeMs received_ms);

// Cuts texts to their limits, then judges everything but the time. `detail` is that of the signal
// and null for a metric. The views of `signal` may be shortened, never moved.
std::string check_signal(Signal& signal, SignalDetail* detail);

using LabelList = std::vector<std::pair<std::string_view, std::string_view>>;

// Sorts `labels` by key and writes "k=v,k2=v2" with \ before each , = and \ of keys and values. Of
// a repeated key the last one counts.
std::string check_labels(LabelList& labels, std::string& canonical);

// The reverse. False where the text is not what check_labels would have written.
bool split_labels(std::string_view canonical,
                  std::vector<std::pair<std::string, std::string>>& labels);

}  // namespace selfheal
