#pragma once
// The journal: one chain of records a shard, and the rule by which every reader accepts or ignores
// a record. Pure: no clock, no I/O. Whoever reads the same log computes the same chain, so
// duplicates, zombies and two owners at once are settled alike everywhere, by log order.
//
// A record on the topic is {"signature":"<hex>","body":<json>}. The signature covers the bytes of
// the body. The chain's head after a record is SHA-256(head before, body bytes).
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/fields.hpp"
#include "base/hash.hpp"
#include "base/result.hpp"
#include "topics/embedded_input.hpp"
#include "topics/events.hpp"
#include "topics/log.hpp"

namespace selfheal {

// The journal's own format: a reader refuses a newer one instead of guessing. A record carries the
// oldest version that knows its kind; snapshots came with the second.
constexpr std::int64_t journal_version = 2;
constexpr std::int64_t journal_version_first = 1;

// A tick may run ahead of the log's clock by this much and no more: an owner whose clock is wrong
// must not be able to expire everything or freeze the chain.
constexpr DurationMs tick_ahead_ms_max = 2000;

// One batch of inputs in one fixed order: signals by offset, control by offset, embedded inputs as
// listed, then timers due at tick_ms. These numbers are the interleaving.
struct Cut {
  Offset signals_begin = 0;
  Offset signals_end = 0;
  Offset control_begin = 0;
  Offset control_end = 0;
  TimeMs tick_ms = 0;
  TimeMs caught_up_through_ms = 0;  // inputs older than this have all been taken
  std::vector<EmbeddedInput> inputs;
  std::uint64_t inputs_digest = 0;  // of the raw bytes of the records taken, in order

  std::int64_t records() const {
    return (signals_end - signals_begin) + (control_end - control_begin);
  }
  bool operator==(const Cut&) const = default;
};

enum class JournalKind : std::uint8_t { claim, batch, config, failed, skip, snapshot };
const char* to_string(JournalKind kind);

// A shard's state as of `seq`, in chunks on the snapshots topic: see storage/snapshot.hpp.
struct SnapshotManifest {
  static constexpr const char* kName = "snapshot_manifest";
  std::string id;
  std::int64_t seq = 0;
  std::int64_t first_offset = 0;
  std::int64_t end_offset = 0;
  std::int64_t chunks = 0;
  std::int64_t pages = 0;
  std::int64_t bytes = 0;
  std::string sha256;  // rolling over the chunks, hex
  static constexpr auto fields() {
    return std::tuple{field("id", &SnapshotManifest::id),
                      field("seq", &SnapshotManifest::seq),
                      field("first_offset", &SnapshotManifest::first_offset),
                      field("end_offset", &SnapshotManifest::end_offset),
                      field("chunks", &SnapshotManifest::chunks),
                      field("pages", &SnapshotManifest::pages),
                      field("bytes", &SnapshotManifest::bytes),
                      field("sha256", &SnapshotManifest::sha256)};
  }
  bool operator==(const SnapshotManifest&) const = default;
};

struct JournalRecord {
  JournalKind kind = JournalKind::batch;
  std::int64_t version = journal_version_first;
  std::int64_t shard = 0;
  std::int64_t epoch = 0;
  std::int64_t seq = 0;   // a claim takes none: it carries the next one only for people
  std::string prev_hash;  // hex of the chain's head; empty in a claim

  // claim
  std::string owner;
  std::string build;
  std::int64_t fold_version = 0;
  std::int64_t partitions = 0;   // of the input topics, pinned by the first claim
  std::uint64_t shard_seed = 0;  // of the draws, pinned by the first claim
  std::string public_key;        // signs everything of this epoch
  // What was learnt from signals could not be learnt again (the inputs had expired): every reader
  // begins it anew here, as after another fold version.
  bool forgets = false;

  // batch; a failed record names the cut that could not be decided, a skip the record left out
  Cut cut;
  std::vector<Event> events;
  std::uint64_t state_hash = 0;

  // config
  std::int64_t generation = 0;
  std::string content;  // the settings as canonical JSON

  // failed, skip
  std::string stage;
  std::string reason;
  std::string topic_kind;  // skip: signals or control; the offset is the cut's begin

  SnapshotManifest snapshot;  // of a snapshot
};

std::string encode_body(const JournalRecord& record);
Result<JournalRecord> decode_body(std::string_view body);

// The two halves of a record's value.
struct SignedBody {
  std::string_view signature;
  std::string_view body;
};
std::string wrap_body(std::string_view signature_hex, std::string_view body);
Result<SignedBody> unwrap_body(std::string_view value);

// How much of what was not yet understood may be taken at once, after a cut killed its shard.
struct PoisonGuard {
  Offset signals_until = 0;  // guarded while the chain's next offsets lie below these
  Offset control_until = 0;
  std::int64_t records_max = 0;      // 0: no guard
  std::int64_t single_failures = 0;  // of the one record at the chain's next offset
  bool operator==(const PoisonGuard&) const = default;
};

// What every reader knows after reading up to some offset.
struct Chain {
  std::int64_t shard = 0;
  std::int64_t epoch = 0;  // 0: nobody has claimed yet
  std::int64_t seq = 0;    // of the last accepted record
  Sha256 head{};
  std::string owner;
  std::string public_key;
  std::int64_t fold_version = 0;
  std::int64_t partitions = 0;
  std::uint64_t shard_seed = 0;
  Offset signals_next = 0;
  Offset control_next = 0;
  TimeMs tick_ms = 0;
  TimeMs caught_up_through_ms = 0;
  std::uint64_t state_hash = 0;
  std::int64_t generation = 0;
  std::string settings;    // the active content, canonical JSON; empty before the first config
  TimeMs settings_ms = 0;  // when the log took it; not known to an owner before the read-back
  // The newest snapshot: its state and when the log took its record; 0: there is none. An owner
  // knows the time only after the read-back.
  std::int64_t snapshot_seq = 0;
  TimeMs snapshot_ms = 0;
  PoisonGuard poison;
  Offset journal_next = 0;  // the offset after the last record read, accepted or not
  bool operator==(const Chain&) const = default;
};

std::string encode_chain(const Chain& chain);
Result<Chain> decode_chain(std::string_view text);

enum class Acceptance : std::uint8_t {
  accepted,
  unreadable,     // not a journal record at all
  newer_version,  // written by a build with a newer journal: readers must stop, not guess
  other_shard,
  bad_signature,
  unknown_key,   // a claim by a key that the settings in force do not name
  stale_epoch,   // an owner that has been replaced
  future_epoch,  // not exactly the next
  wrong_seq,     // duplicate or gap
  wrong_hash,    // same place, other history
  wrong_cut,     // does not start where the chain ended
  tick_backwards,
  tick_ahead,  // beyond the log's clock
};
const char* to_string(Acceptance acceptance);

// Whether who signs with this key may claim: one of the keys with role "shard" of the settings in
// force (canonical JSON), anybody where they name none. So a stranger who can write to the journal,
// or a process with other keys by mistake, takes nothing over; every reader knows the same settings
// there.
bool may_claim(std::string_view settings, std::string_view public_key);

// Applies one record as read from the log. On acceptance the chain has moved; otherwise only
// journal_next has. `record` receives the decoded record where it could be decoded.
// Signatures may be left unchecked only by who has checked the same bytes before.
enum class Signatures : std::uint8_t { verify, verified_before };
Acceptance accept(Chain& chain, const RecordView& read, JournalRecord& record,
                  Signatures signatures = Signatures::verify);

// The same for a record, no claim, that the caller made and signed itself. `head_after` is the head
// that advance() gave the caller's own chain: a record that extends the chain names the same head
// before it, so the head after it is the same too.
Acceptance accept_own(Chain& chain, const RecordView& read, const JournalRecord& own,
                      const Sha256& head_after);

// Moves a chain by a record that is known to extend it: what the owner does before the read-back.
void advance(Chain& chain, const JournalRecord& record, std::string_view body);

}  // namespace selfheal
