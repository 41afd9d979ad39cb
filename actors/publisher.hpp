#pragma once
// Writes the record of a `publish` step to the bus, whatever bus it is.
#include "actors/environment.hpp"
#include "effects/step_effect.hpp"

namespace selfheal {

// Waits for the log's word, at most `limit_ms`: only `stored` says that the record is there for
// good. The key's hash chooses the partition as Kafka's own producers choose it. A topic that does
// not exist refuses the record; where this process is alone on its bus nobody else could make one,
// so there it is made, with one partition. Thread-safe.
PublishEnd publish_record(const Environment& environment, const PublishCall& record,
                          const std::string& idempotency_key, DurationMs limit_ms);

}  // namespace selfheal
