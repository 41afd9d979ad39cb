#pragma once
// Reads signals in every form they come in, told apart by their bytes alone: one JSON object,
// NDJSON, a CloudEvent (structured, or binary mode, whose value is the signal itself), a binary
// frame (frame_codec.hpp). What cannot be read becomes a DecodeFailure and nothing else is lost by
// it: a bad line or row costs itself, a broken frame costs its record.
//
// Reason words: empty, oversize, unknown_format, bad_json, bad_frame, unknown_type, wrong_type,
// missing_field, missing_service, bad_value, out_of_range, bad_time, too_long, too_many,
// control_character, bad_cloudevent.
//
// Limits: signal_limits in signal_check.hpp, and record_bytes_max a record. Unknown members are
// skipped without being looked into. The outcome depends on the record alone, never on the CPU or
// on what was decoded before.
// Not thread-safe: one decoder a thread. It keeps its buffers, so that nothing is allocated per
// signal once they have grown.
#include <memory>

#include "topics/log.hpp"
#include "topics/signal.hpp"

namespace selfheal {

class SignalDecoder {
 public:
  SignalDecoder();
  ~SignalDecoder();
  SignalDecoder(SignalDecoder&&) noexcept;
  SignalDecoder& operator=(SignalDecoder&&) noexcept;

  // Adds to `batch`, in the order of the record. Never throws for what is in the record.
  void decode(const RecordView& record, SignalBatch& batch);

 private:
  class Core;
  std::unique_ptr<Core> core_;
};

}  // namespace selfheal
