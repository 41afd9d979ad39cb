// Everything that reads bytes from a topic or a disk: signals in all forms, journal records,
// control messages and what they carry, presence, snapshots, saved heads and pages. The first byte
// chooses, so that one corpus serves all; where SELFHEAL_FUZZ_DECODER names a decoder, every input
// is for that one. Beyond surviving, what was decoded must encode and decode to the same again.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>

#include "storage/snapshot.hpp"
#include "tests/fuzz/saved_pages.hpp"
#include "tests/topics/scan_agreement.hpp"
#include "topics/control.hpp"
#include "topics/embedded_input.hpp"
#include "topics/frame_codec.hpp"
#include "topics/journal.hpp"
#include "topics/json_codec.hpp"
#include "topics/memory_log.hpp"
#include "topics/presence.hpp"
#include "topics/signal_decoder.hpp"
#include "topics/signal_encoder.hpp"

namespace {

using namespace selfheal;

constexpr TimeMs record_time_ms = 1'795'339'800'000;

void must(bool holds) {
  if (!holds) std::abort();
}

void fuzz_signals(std::string_view text) {
  if (!text.empty() && text.back() > ' ') {
    must(scan_both(std::string(text)) != Scanned::differs);
  }
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

template <class Body>
void fuzz_body(std::string_view text) {
  const Result<Body> body = from_json_text<Body>(text);
  if (!body) return;
  const Result<Body> again = from_json_text<Body>(to_json_text(*body));
  must(again && *again == *body);
}

void fuzz_control(std::string_view text) {
  const Result<ControlMessage> message = decode_control(text);
  if (message) {
    const Result<ControlMessage> again = decode_control(encode_control(*message));
    must(again && *again == *message);
  }
  fuzz_body<LockRequested>(text);
  fuzz_body<LockReleased>(text);
  fuzz_body<LockGranted>(text);
  fuzz_body<LockQueued>(text);
  fuzz_body<Presence>(text);
}

void fuzz_saved_head(std::string_view text) {
  SavedShard saved;
  const Result<void> head = decode_saved_head(std::string(text), saved);
  if (!head) return;
  SavedShard again;
  must(decode_saved_head(encode_saved_head(saved), again).has_value());
  must(again.chain == saved.chain && again.last_offset == saved.last_offset);
}

// A chunk with the name of an honest snapshot and other bytes behind it.
void fuzz_snapshot(std::string_view text) {
  static const TopicNames topics = topic_names("f", 1);
  MemoryLog log;
  static_cast<void>(log.create_topics(topic_specs("f", 1)));
  static MemoryPageStore store;
  if (static bool filled = false; !filled) {
    ShardChanges changes;
    changes.puts["a/page"] = "value";
    filled = store.write(changes).has_value();
  }
  Result<SnapshotManifest> manifest = write_snapshot(log, topics, store, 0);
  must(manifest.has_value());
  std::string chunk;
  static_cast<void>(read_range(log, {topics.snapshots, 0}, {0, 1},
                               [&](const RecordBatch& batch, const LogReader&) -> Result<void> {
                                 chunk = std::string(batch.records[0].value);
                                 return {};
                               }));
  chunk.resize(chunk.find(manifest->id) + manifest->id.size());
  chunk += text;
  log.append({topics.snapshots, 0}, {.value = chunk}, [](const Result<Offset>&) {});
  manifest->first_offset = 1;
  manifest->end_offset = 2;
  // Other bytes have another hash: whatever they say, nothing is taken over.
  must(!read_snapshot(log, topics, 0, *manifest));
}

struct Decoder {
  std::string_view name;
  void (*fuzz)(std::string_view text);
};
constexpr Decoder journal{"journal", fuzz_journal};
constexpr Decoder control{"control", fuzz_control};
constexpr Decoder saved_head{"saved_head", fuzz_saved_head};
constexpr Decoder snapshot{"snapshot", fuzz_snapshot};
constexpr Decoder signals{"signals", fuzz_signals};
constexpr Decoder pages{"pages", load_changed_pages};

// By the first byte of an input; how often one stands here is its share of the time.
constexpr std::array decoders = {journal, control, saved_head, snapshot,
                                 pages,   signals, signals,    signals};

// The only one wanted; null where all are.
const Decoder* only_one() {
  const char* wanted = std::getenv("SELFHEAL_FUZZ_DECODER");
  if (wanted == nullptr || *wanted == '\0') return nullptr;
  for (const Decoder& each : decoders) {
    if (each.name == wanted) return &each;
  }
  std::cerr << "SELFHEAL_FUZZ_DECODER: '" << wanted
            << "' is none of journal, control, pages, saved_head, snapshot, signals\n";
  std::_Exit(2);  // exit() would be taken for a finding
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Decoder* const only = only_one();
  if (size == 0) return 0;
  const Decoder& decoder = only != nullptr ? *only : decoders[data[0] % decoders.size()];
  decoder.fuzz({reinterpret_cast<const char*>(data) + 1, size - 1});
  return 0;
}
