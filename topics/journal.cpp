#include "topics/journal.hpp"

#include <algorithm>
#include <array>

#include "base/check.hpp"
#include "base/signature.hpp"
#include "topics/json_codec.hpp"

namespace selfheal {
namespace {

// How the guard moves: a failed cut halves what may be taken; progress beyond it lifts the guard.
void guard_after_failure(Chain& chain, const Cut& cut) {
  // A cut without records failed by its timers or embedded inputs: no record is to blame.
  if (cut.records() == 0) return;
  PoisonGuard& guard = chain.poison;
  // A cut's offsets may have gaps (expired records, marks of transactions): it holds no more
  // records than it was allowed.
  const std::int64_t records =
      guard.records_max > 0 ? std::min(cut.records(), guard.records_max) : cut.records();
  guard.single_failures = records == 1 ? guard.single_failures + 1 : 0;
  guard.records_max = std::max<std::int64_t>(1, records / 2);
  guard.signals_until = std::max(guard.signals_until, cut.signals_end);
  guard.control_until = std::max(guard.control_until, cut.control_end);
}

void guard_after_progress(Chain& chain) {
  PoisonGuard& guard = chain.poison;
  guard.single_failures = 0;
  if (chain.signals_next >= guard.signals_until && chain.control_next >= guard.control_until) {
    guard = {};
  }
}

// Whether `hex` is what to_hex() makes of `digest`, without making it.
bool is_hex_of(std::string_view hex, const Sha256& digest) {
  constexpr std::string_view digits = "0123456789abcdef";
  if (hex.size() != 2 * digest.size()) return false;
  for (std::size_t i = 0; i < digest.size(); ++i) {
    if (hex[2 * i] != digits[digest[i] >> 4] || hex[2 * i + 1] != digits[digest[i] & 15]) {
      return false;
    }
  }
  return true;
}

Acceptance place(const Chain& chain, const JournalRecord& record, TimeMs append_time_ms) {
  if (record.kind == JournalKind::claim) {
    if (record.epoch <= chain.epoch) return Acceptance::stale_epoch;
    return record.epoch == chain.epoch + 1 ? Acceptance::accepted : Acceptance::future_epoch;
  }
  if (record.epoch != chain.epoch) {
    return record.epoch < chain.epoch ? Acceptance::stale_epoch : Acceptance::future_epoch;
  }
  if (record.seq != chain.seq + 1) return Acceptance::wrong_seq;
  if (!is_hex_of(record.prev_hash, chain.head)) return Acceptance::wrong_hash;
  const bool cuts_nothing =
      record.kind == JournalKind::config || record.kind == JournalKind::snapshot;
  if (cuts_nothing) return Acceptance::accepted;
  const Cut& cut = record.cut;
  if (cut.signals_begin != chain.signals_next || cut.control_begin != chain.control_next ||
      cut.signals_end < cut.signals_begin || cut.control_end < cut.control_begin) {
    return Acceptance::wrong_cut;
  }
  if (cut.tick_ms < chain.tick_ms) return Acceptance::tick_backwards;
  if (cut.tick_ms > append_time_ms + tick_ahead_ms_max) return Acceptance::tick_ahead;
  return Acceptance::accepted;
}

// What only the log can say of a record.
void note_time(Chain& chain, JournalKind kind, TimeMs append_time_ms) {
  if (kind == JournalKind::config) chain.settings_ms = append_time_ms;
  if (kind == JournalKind::snapshot) chain.snapshot_ms = append_time_ms;
}

void move_to(Chain& chain, const JournalRecord& record, const Sha256& head) {
  chain.head = head;
  if (record.kind == JournalKind::claim) {
    // What the first claim pinned stays: the seed names the draws, the partitions name the shards.
    if (chain.epoch == 0) {
      chain.shard = record.shard;
      chain.shard_seed = record.shard_seed;
      chain.partitions = record.partitions;
    }
    chain.epoch = record.epoch;
    chain.owner = record.owner;
    chain.public_key = record.public_key;
    chain.fold_version = record.fold_version;
    return;
  }
  chain.seq = record.seq;
  if (record.kind == JournalKind::config) {
    chain.generation = record.generation;
    chain.settings = record.content;
    return;
  }
  if (record.kind == JournalKind::snapshot) {
    chain.snapshot_seq = record.snapshot.seq;
    return;
  }
  chain.tick_ms = record.cut.tick_ms;
  if (record.kind == JournalKind::failed) return guard_after_failure(chain, record.cut);
  chain.signals_next = record.cut.signals_end;
  chain.control_next = record.cut.control_end;
  guard_after_progress(chain);
  if (record.kind == JournalKind::batch) {
    chain.caught_up_through_ms = record.cut.caught_up_through_ms;
    chain.state_hash = record.state_hash;
  }
}

// What of the settings says who may claim; the rest is decision/'s.
struct SettingsKey {
  std::string role;
  std::string public_key;
  static constexpr auto fields() {
    return std::tuple{field("role", &SettingsKey::role),
                      field("public_key", &SettingsKey::public_key)};
  }
};
struct SettingsKeys {
  std::vector<SettingsKey> keys;
  static constexpr auto fields() { return std::tuple{field("keys", &SettingsKeys::keys)}; }
};

// None where no settings are in force yet.
std::vector<SettingsKey> keys_of(std::string_view settings) {
  if (settings.empty()) return {};
  std::vector<SettingsKey> keys;
  if (JsonReader in(settings); in.find_member("keys") && read_json(in, keys)) return keys;
  Result<SettingsKeys> named = from_json_text<SettingsKeys>(settings);
  return named ? std::move(named->keys) : std::vector<SettingsKey>();
}

// Signed by the shard's owner, or by a key that may claim it. Where the settings name no keys any
// process may, and what it writes cannot be told from a stranger's.
bool is_of_cluster(const Chain& chain, const SignedBody& parts) {
  const auto signed_by = [&](const std::string& key) {
    return verify(key, parts.body, parts.signature);
  };
  if (chain.epoch > 0 && signed_by(chain.public_key)) return true;
  bool names_any = false;
  for (const SettingsKey& key : keys_of(chain.settings)) {
    if (key.role != "shard") continue;
    if (signed_by(key.public_key)) return true;
    names_any = true;
  }
  return !names_any;
}

}  // namespace

const char* to_string(Acceptance acceptance) {
  constexpr std::array<const char*, 13> names = {
      "accepted",    "unreadable",     "newer_version", "other_shard", "bad_signature",
      "unknown_key", "stale_epoch",    "future_epoch",  "wrong_seq",   "wrong_hash",
      "wrong_cut",   "tick_backwards", "tick_ahead"};
  return names[static_cast<std::size_t>(acceptance)];
}

bool may_claim(std::string_view settings, std::string_view public_key) {
  bool names_any = false;
  for (const SettingsKey& key : keys_of(settings)) {
    if (key.role != "shard") continue;
    if (key.public_key == public_key) return true;
    names_any = true;
  }
  return !names_any;
}

void advance(Chain& chain, const JournalRecord& record, std::string_view body) {
  const std::string_view head(reinterpret_cast<const char*>(chain.head.data()), chain.head.size());
  move_to(chain, record, sha256(head, body));
}

Acceptance accept(Chain& chain, const RecordView& read, JournalRecord& record,
                  Signatures signatures) {
  chain.journal_next = read.offset + 1;
  const Result<SignedBody> parts = unwrap_body(read.value);
  if (!parts) return Acceptance::unreadable;
  Result<JournalRecord> decoded = decode_body(parts->body);
  if (!decoded) {
    // Garbage is nobody's; what the owner itself has signed is part of the chain, and to pass over
    // it would be to go on from another history than its other readers.
    const bool of_owner =
        chain.epoch > 0 && verify(chain.public_key, parts->body, parts->signature);
    return of_owner ? Acceptance::newer_version : Acceptance::unreadable;
  }
  record = std::move(*decoded);
  if (record.version > journal_version) {
    const bool of_cluster = is_of_cluster(chain, *parts);
    return of_cluster ? Acceptance::newer_version : Acceptance::unreadable;
  }
  if (chain.epoch > 0 && record.shard != chain.shard) return Acceptance::other_shard;
  const Acceptance placed = place(chain, record, read.append_time_ms);
  if (placed != Acceptance::accepted) return placed;
  const bool claims = record.kind == JournalKind::claim;
  if (claims && !may_claim(chain.settings, record.public_key)) return Acceptance::unknown_key;
  const std::string& key = claims ? record.public_key : chain.public_key;
  const bool sound =
      signatures == Signatures::verified_before || verify(key, parts->body, parts->signature);
  if (!sound) return Acceptance::bad_signature;
  advance(chain, record, parts->body);
  note_time(chain, record.kind, read.append_time_ms);
  return Acceptance::accepted;
}

Acceptance accept_own(Chain& chain, const RecordView& read, const JournalRecord& own,
                      const Sha256& head_after) {
  CHECK(own.kind != JournalKind::claim, "a claim names no head before it");
  chain.journal_next = read.offset + 1;
  const Acceptance placed = place(chain, own, read.append_time_ms);
  if (placed != Acceptance::accepted) return placed;
  move_to(chain, own, head_after);
  note_time(chain, own.kind, read.append_time_ms);
  return Acceptance::accepted;
}

}  // namespace selfheal
