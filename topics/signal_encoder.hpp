#pragma once
// A signal as one line of JSON: what leaves for another shard, and what tests and tools send.
// Decoding it gives the same signal, except for offset, line and received_ms, which belong to the
// record. Pure and thread-safe. The signal must have passed check_signal().
#include <string>

#include "topics/signal.hpp"

namespace selfheal {

// Without a newline. Fields at their defaults are left out; the time is always "time_ms".
std::string signal_to_json(const Signal& signal);

}  // namespace selfheal
