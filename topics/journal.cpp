#include "topics/journal.hpp"

#include <algorithm>
#include <array>

#include "base/signature.hpp"
#include "topics/event_codec.hpp"

namespace selfheal {
namespace {

constexpr std::array<const char*, 5> kind_names = {"claim", "batch", "config", "failed", "skip"};
constexpr std::string_view value_start = "{\"signature\":\"";
constexpr std::string_view value_middle = "\",\"body\":";
constexpr std::size_t signature_digits = 128;

Json cut_to_json(const Cut& cut) {
  Json json = Json::object();
  json["signals"] = {cut.signals_begin, cut.signals_end};
  json["control"] = {cut.control_begin, cut.control_end};
  json["tick_ms"] = cut.tick_ms;
  json["caught_up_through_ms"] = cut.caught_up_through_ms;
  json["inputs_digest"] = to_hex(cut.inputs_digest);
  if (!cut.inputs.empty()) {
    Json& inputs = json["inputs"] = Json::array();
    for (const EmbeddedInput& input : cut.inputs) inputs.push_back(embedded_to_json(input));
  }
  return json;
}

std::uint64_t hex_number(const Json& json) {
  const Result<std::string> bytes = from_hex(json.get<std::string>());
  if (!bytes || bytes->size() != 8)
    throw Json::other_error::create(501, "not 16 hex digits", &json);
  std::uint64_t value = 0;
  for (const char byte : *bytes) value = value << 8 | static_cast<unsigned char>(byte);
  return value;
}

// Throws Json::exception on a wrong form; decode_body converts.
Cut cut_from_json(const Json& json) {
  Cut cut;
  cut.signals_begin = json.at("signals").at(0).get<Offset>();
  cut.signals_end = json.at("signals").at(1).get<Offset>();
  cut.control_begin = json.at("control").at(0).get<Offset>();
  cut.control_end = json.at("control").at(1).get<Offset>();
  cut.tick_ms = json.at("tick_ms").get<TimeMs>();
  cut.caught_up_through_ms = json.at("caught_up_through_ms").get<TimeMs>();
  cut.inputs_digest = hex_number(json.at("inputs_digest"));
  if (const auto inputs = json.find("inputs"); inputs != json.end()) {
    for (const Json& each : *inputs) {
      Result<EmbeddedInput> input = embedded_from_json(each);
      if (!input) throw Json::other_error::create(501, input.error().context, &each);
      cut.inputs.push_back(std::move(*input));
    }
  }
  return cut;
}

void claim_to_json(const JournalRecord& record, Json& json) {
  json["owner"] = record.owner;
  json["build"] = record.build;
  json["fold_version"] = record.fold_version;
  json["partitions"] = record.partitions;
  json["shard_seed"] = to_hex(record.shard_seed);
  json["public_key"] = record.public_key;
}

void claim_from_json(const Json& json, JournalRecord& record) {
  record.owner = json.at("owner").get<std::string>();
  record.build = json.at("build").get<std::string>();
  record.fold_version = json.at("fold_version").get<std::int64_t>();
  record.partitions = json.at("partitions").get<std::int64_t>();
  record.shard_seed = hex_number(json.at("shard_seed"));
  record.public_key = json.at("public_key").get<std::string>();
}

void events_from_json(const Json& json, JournalRecord& record) {
  for (const Json& each : json) {
    Result<Event> event = event_from_json(each);
    if (!event) throw Json::other_error::create(501, event.error().context, &each);
    record.events.push_back(std::move(*event));
  }
}

void rest_from_json(const Json& json, JournalRecord& record) {
  switch (record.kind) {
    case JournalKind::claim:
      return claim_from_json(json, record);
    case JournalKind::batch:
      record.cut = cut_from_json(json.at("cut"));
      record.state_hash = hex_number(json.at("state_hash"));
      return events_from_json(json.at("events"), record);
    case JournalKind::config:
      record.generation = json.at("generation").get<std::int64_t>();
      record.content = dump(json.at("content"));
      return;
    case JournalKind::failed:
      record.cut = cut_from_json(json.at("cut"));
      record.stage = json.at("stage").get<std::string>();
      record.reason = json.at("reason").get<std::string>();
      return;
    case JournalKind::skip:
      record.cut = cut_from_json(json.at("cut"));
      record.topic_kind = json.at("topic_kind").get<std::string>();
      record.reason = json.at("reason").get<std::string>();
      return;
  }
}

// How the guard moves: a failed cut halves what may be taken; progress beyond it lifts the guard.
void guard_after_failure(Chain& chain, const Cut& cut) {
  // A cut without records failed by its timers or embedded inputs: no record is to blame.
  if (cut.records() == 0) return;
  PoisonGuard& guard = chain.poison;
  const bool single = cut.records() == 1;
  guard.single_failures = single ? guard.single_failures + 1 : 0;
  guard.records_max = std::max<std::int64_t>(1, cut.records() / 2);
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

Acceptance place(const Chain& chain, const JournalRecord& record, TimeMs append_time_ms) {
  if (record.kind == JournalKind::claim) {
    if (record.epoch <= chain.epoch) return Acceptance::stale_epoch;
    return record.epoch == chain.epoch + 1 ? Acceptance::accepted : Acceptance::future_epoch;
  }
  if (record.epoch != chain.epoch) {
    return record.epoch < chain.epoch ? Acceptance::stale_epoch : Acceptance::future_epoch;
  }
  if (record.seq != chain.seq + 1) return Acceptance::wrong_seq;
  if (record.prev_hash != to_hex(chain.head)) return Acceptance::wrong_hash;
  if (record.kind == JournalKind::config) return Acceptance::accepted;
  const Cut& cut = record.cut;
  if (cut.signals_begin != chain.signals_next || cut.control_begin != chain.control_next ||
      cut.signals_end < cut.signals_begin || cut.control_end < cut.control_begin) {
    return Acceptance::wrong_cut;
  }
  if (cut.tick_ms < chain.tick_ms) return Acceptance::tick_backwards;
  if (cut.tick_ms > append_time_ms + tick_ahead_ms_max) return Acceptance::tick_ahead;
  return Acceptance::accepted;
}

}  // namespace

const char* to_string(JournalKind kind) {
  return kind_names[static_cast<std::size_t>(kind)];
}

const char* to_string(Acceptance acceptance) {
  constexpr std::array<const char*, 12> names = {
      "accepted",     "unreadable", "newer_version", "other_shard", "bad_signature",  "stale_epoch",
      "future_epoch", "wrong_seq",  "wrong_hash",    "wrong_cut",   "tick_backwards", "tick_ahead"};
  return names[static_cast<std::size_t>(acceptance)];
}

std::string encode_body(const JournalRecord& record) {
  Json json = Json::object();
  json["kind"] = to_string(record.kind);
  json["version"] = record.version;
  json["shard"] = record.shard;
  json["epoch"] = record.epoch;
  json["seq"] = record.seq;
  if (!record.prev_hash.empty()) json["prev_hash"] = record.prev_hash;
  switch (record.kind) {
    case JournalKind::claim:
      claim_to_json(record, json);
      break;
    case JournalKind::batch: {
      json["cut"] = cut_to_json(record.cut);
      json["state_hash"] = to_hex(record.state_hash);
      Json& events = json["events"] = Json::array();
      for (const Event& event : record.events) events.push_back(event_to_json(event));
      break;
    }
    case JournalKind::config:
      json["generation"] = record.generation;
      // The content is kept as an object: readable with kcat and jq, canonical by its sorted keys.
      json["content"] = Json::parse(record.content, nullptr, false);
      break;
    case JournalKind::failed:
      json["cut"] = cut_to_json(record.cut);
      json["stage"] = record.stage;
      json["reason"] = record.reason;
      break;
    case JournalKind::skip:
      json["cut"] = cut_to_json(record.cut);
      json["topic_kind"] = record.topic_kind;
      json["reason"] = record.reason;
      break;
  }
  return dump(json);
}

Result<JournalRecord> decode_body(std::string_view body) {
  const Result<Json> json = parse_json(body);
  if (!json) return json.error().within("journal record");
  try {
    JournalRecord record;
    record.version = json->at("version").get<std::int64_t>();
    if (record.version > journal_version) return record;
    const auto name = json->at("kind").get<std::string>();
    const auto* const found = std::find(kind_names.begin(), kind_names.end(), name);
    if (found == kind_names.end()) {
      return Error{ErrorCode::corrupt, "journal record of unknown kind '" + name + "'"};
    }
    record.kind = static_cast<JournalKind>(found - kind_names.begin());
    record.shard = json->at("shard").get<std::int64_t>();
    record.epoch = json->at("epoch").get<std::int64_t>();
    record.seq = json->at("seq").get<std::int64_t>();
    record.prev_hash = json->value("prev_hash", std::string());
    rest_from_json(*json, record);
    return record;
  } catch (const Json::exception& failure) {
    return Error{ErrorCode::corrupt, std::string("journal record: ") + failure.what()};
  }
}

std::string wrap_body(std::string_view signature_hex, std::string_view body) {
  std::string value;
  value.reserve(value_start.size() + signature_hex.size() + value_middle.size() + body.size() + 1);
  value += value_start;
  value += signature_hex;
  value += value_middle;
  value += body;
  value += '}';
  return value;
}

Result<SignedBody> unwrap_body(std::string_view value) {
  const std::size_t body_at = value_start.size() + signature_digits + value_middle.size();
  if (value.size() < body_at + 2 || !value.starts_with(value_start) || value.back() != '}' ||
      value.substr(value_start.size() + signature_digits, value_middle.size()) != value_middle) {
    return Error{ErrorCode::corrupt, "not a signed journal record"};
  }
  return SignedBody{value.substr(value_start.size(), signature_digits),
                    value.substr(body_at, value.size() - body_at - 1)};
}

std::string encode_chain(const Chain& chain) {
  Json json = Json::object();
  json["shard"] = chain.shard;
  json["epoch"] = chain.epoch;
  json["seq"] = chain.seq;
  json["head"] = to_hex(chain.head);
  json["owner"] = chain.owner;
  json["public_key"] = chain.public_key;
  json["fold_version"] = chain.fold_version;
  json["partitions"] = chain.partitions;
  json["shard_seed"] = to_hex(chain.shard_seed);
  json["signals_next"] = chain.signals_next;
  json["control_next"] = chain.control_next;
  json["tick_ms"] = chain.tick_ms;
  json["caught_up_through_ms"] = chain.caught_up_through_ms;
  json["state_hash"] = to_hex(chain.state_hash);
  json["generation"] = chain.generation;
  json["settings"] = chain.settings;
  json["poison"] = {chain.poison.signals_until, chain.poison.control_until,
                    chain.poison.records_max, chain.poison.single_failures};
  json["journal_next"] = chain.journal_next;
  return dump(json);
}

Result<Chain> decode_chain(std::string_view text) {
  const Result<Json> parsed = parse_json(text);
  if (!parsed) return parsed.error().within("chain");
  const Json& json = *parsed;
  try {
    Chain chain;
    chain.shard = json.at("shard").get<std::int64_t>();
    chain.epoch = json.at("epoch").get<std::int64_t>();
    chain.seq = json.at("seq").get<std::int64_t>();
    const Result<std::string> head = from_hex(json.at("head").get<std::string>());
    if (!head || head->size() != chain.head.size()) {
      return Error{ErrorCode::corrupt, "chain: the head is not a SHA-256"};
    }
    std::copy(head->begin(), head->end(), chain.head.begin());
    chain.owner = json.at("owner").get<std::string>();
    chain.public_key = json.at("public_key").get<std::string>();
    chain.fold_version = json.at("fold_version").get<std::int64_t>();
    chain.partitions = json.at("partitions").get<std::int64_t>();
    chain.shard_seed = hex_number(json.at("shard_seed"));
    chain.signals_next = json.at("signals_next").get<Offset>();
    chain.control_next = json.at("control_next").get<Offset>();
    chain.tick_ms = json.at("tick_ms").get<TimeMs>();
    chain.caught_up_through_ms = json.at("caught_up_through_ms").get<TimeMs>();
    chain.state_hash = hex_number(json.at("state_hash"));
    chain.generation = json.at("generation").get<std::int64_t>();
    chain.settings = json.at("settings").get<std::string>();
    const Json& poison = json.at("poison");
    chain.poison = {poison.at(0).get<Offset>(), poison.at(1).get<Offset>(),
                    poison.at(2).get<std::int64_t>(), poison.at(3).get<std::int64_t>()};
    chain.journal_next = json.at("journal_next").get<Offset>();
    return chain;
  } catch (const Json::exception& failure) {
    return Error{ErrorCode::corrupt, std::string("chain: ") + failure.what()};
  }
}

void advance(Chain& chain, const JournalRecord& record, std::string_view body) {
  std::string linked(reinterpret_cast<const char*>(chain.head.data()), chain.head.size());
  linked += body;
  chain.head = sha256(linked);
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

Acceptance accept(Chain& chain, const RecordView& read, JournalRecord& record,
                  Signatures signatures) {
  chain.journal_next = read.offset + 1;
  const Result<SignedBody> parts = unwrap_body(read.value);
  if (!parts) return Acceptance::unreadable;
  Result<JournalRecord> decoded = decode_body(parts->body);
  if (!decoded) return Acceptance::unreadable;
  record = std::move(*decoded);
  if (record.version > journal_version) return Acceptance::newer_version;
  if (chain.epoch > 0 && record.shard != chain.shard) return Acceptance::other_shard;
  const Acceptance placed = place(chain, record, read.append_time_ms);
  if (placed != Acceptance::accepted) return placed;
  const std::string& key = record.kind == JournalKind::claim ? record.public_key : chain.public_key;
  const bool sound =
      signatures == Signatures::verified_before || verify(key, parts->body, parts->signature);
  if (!sound) return Acceptance::bad_signature;
  advance(chain, record, parts->body);
  return Acceptance::accepted;
}

Acceptance accept_own(Chain& chain, const RecordView& read, const JournalRecord& own,
                      std::string_view body) {
  chain.journal_next = read.offset + 1;
  const Acceptance placed = place(chain, own, read.append_time_ms);
  if (placed == Acceptance::accepted) advance(chain, own, body);
  return placed;
}

}  // namespace selfheal
