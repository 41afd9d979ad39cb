// Everything that reads bytes from a topic: signals in all forms, journal records. The first byte
// chooses. Beyond surviving, what was decoded must encode and decode to the same again.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "topics/frame_codec.hpp"
#include "topics/journal.hpp"
#include "topics/signal_decoder.hpp"
#include "topics/signal_encoder.hpp"

namespace {

using namespace selfheal;

constexpr TimeMs record_time_ms = 1'795'339'800'000;

void must(bool holds) {
  if (!holds) std::abort();
}

void fuzz_signals(std::string_view text) {
  static SignalDecoder decoder;
  SignalBatch batch;
  decoder.decode({1, record_time_ms, {}, text}, batch);
  for (const Signal& each : batch.signals) {
    const std::string json = signal_to_json(each);
    SignalBatch again;
    decoder.decode({1, record_time_ms, {}, json}, again);
    must(again.signals.size() == 1 && again.failures.empty());
    must(signal_to_json(again.signals[0]) == json);
  }
  const Result<std::string> frame = encode_frame(batch.signals);
  if (!frame) return;
  SignalBatch framed;
  decoder.decode({1, record_time_ms, {}, *frame}, framed);
  must(framed.failures.empty() && framed.signals.size() == batch.signals.size());
  for (std::size_t i = 0; i < framed.signals.size(); ++i) {
    must(signal_to_json(framed.signals[i]) == signal_to_json(batch.signals[i]));
  }
}

void fuzz_journal(std::string_view text) {
  const Result<JournalRecord> record = decode_body(text);
  if (record && record->version <= journal_version) {
    must(decode_body(encode_body(*record)).has_value());
  }
  Chain chain;
  JournalRecord read;
  static_cast<void>(accept(chain, {0, record_time_ms, {}, text}, read));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 4 == 0) {
    fuzz_journal(text);
  } else {
    fuzz_signals(text);
  }
  return 0;
}
