#include "topics/journal_codec.hpp"

#include <algorithm>
#include <array>

#include "topics/event_codec.hpp"
#include "topics/json_canonical.hpp"
#include "topics/json_named.hpp"

namespace selfheal {
namespace {

constexpr std::array<const char*, 6> kind_names = {"claim",  "batch", "config",
                                                   "failed", "skip",  "snapshot"};
constexpr std::string_view value_start = "{\"signature\":\"";
constexpr std::string_view value_middle = "\",\"body\":";
constexpr std::size_t signature_digits = 128;

// Throws Json::exception on a wrong form, as the next two; decode_body converts.
Cut cut_from_json(const Json& json) {
  Cut cut;
  cut.signals_begin = exactly<std::int64_t>(json.at("signals").at(0));
  cut.signals_end = exactly<std::int64_t>(json.at("signals").at(1));
  cut.control_begin = exactly<std::int64_t>(json.at("control").at(0));
  cut.control_end = exactly<std::int64_t>(json.at("control").at(1));
  cut.tick_ms = exactly<std::int64_t>(json.at("tick_ms"));
  cut.caught_up_through_ms = exactly<std::int64_t>(json.at("caught_up_through_ms"));
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

void claim_from_json(const Json& json, JournalRecord& record) {
  record.owner = json.at("owner").get<std::string>();
  record.build = json.at("build").get<std::string>();
  record.fold_version = exactly<std::int64_t>(json.at("fold_version"));
  record.partitions = exactly<std::int64_t>(json.at("partitions"));
  record.shard_seed = hex_number(json.at("shard_seed"));
  record.public_key = json.at("public_key").get<std::string>();
  record.forgets = json.value("forgets", false);
}

void events_from_json(const Json& json, JournalRecord& record) {
  for (const Json& each : json) {
    Result<Event> event = event_from_json(each);
    if (!event) throw Json::other_error::create(501, event.error().context, &each);
    record.events.push_back(std::move(*event));
  }
}

// Throws as the library does, for the caller to convert.
void snapshot_from_json(const Json& json, JournalRecord& record) {
  const std::string wrong = from_json_value(json, record.snapshot);
  if (!wrong.empty()) json.at("snapshot" + wrong);
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
      record.generation = exactly<std::int64_t>(json.at("generation"));
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
    case JournalKind::snapshot:
      snapshot_from_json(json.at("snapshot"), record);
      return;
  }
}

void append_cut(std::string& out, const Cut& cut) {
  const auto append_pair = [&](Offset begin, Offset end) {
    out += '[';
    append_json(out, begin);
    out += ',';
    append_json(out, end);
    out += ']';
  };
  JsonObjectWriter object(out);
  append_json(object.member("caught_up_through_ms"), cut.caught_up_through_ms);
  object.member("control");
  append_pair(cut.control_begin, cut.control_end);
  if (!cut.inputs.empty()) {
    object.member("inputs");
    char before = '[';
    for (const EmbeddedInput& input : cut.inputs) {
      out += std::exchange(before, ',');
      append_embedded(out, input);
    }
    out += ']';
  }
  append_json(object.member("inputs_digest"), to_hex(cut.inputs_digest));
  object.member("signals");
  append_pair(cut.signals_begin, cut.signals_end);
  append_json(object.member("tick_ms"), cut.tick_ms);
  object.end();
}

void append_events(std::string& out, const std::vector<Event>& events) {
  out += '[';
  for (const Event& event : events) {
    if (out.back() != '[') out += ',';
    append_event(out, event);
  }
  out += ']';
}

bool read_pair(JsonReader& in, Offset& begin, Offset& end) {
  return in.open('[') && in.integer(begin) && in.take(',') && in.integer(end) && in.close(']');
}

constexpr std::array<Named<Cut>, 6> cut_names = {{
    {"caught_up_through_ms",
     [](JsonReader& in, Cut& cut) { return in.integer(cut.caught_up_through_ms); }},
    {"control",
     [](JsonReader& in, Cut& cut) { return read_pair(in, cut.control_begin, cut.control_end); }},
    {"inputs_digest", [](JsonReader& in, Cut& cut) { return read_hex(in, cut.inputs_digest); }},
    {"signals",
     [](JsonReader& in, Cut& cut) { return read_pair(in, cut.signals_begin, cut.signals_end); }},
    {"tick_ms", [](JsonReader& in, Cut& cut) { return in.integer(cut.tick_ms); }},
    {"inputs",
     [](JsonReader& in, Cut& cut) {
       return in.items([&] { return read_embedded(in, cut.inputs.emplace_back()); });
     }},
}};

bool read_cut(JsonReader& in, Cut& cut) {
  constexpr std::uint64_t required = 0b11111;  // all but the inputs
  std::uint64_t found = 0;
  return read_named(in, cut, found, cut_names) && (found & required) == required;
}

bool read_kind(JsonReader& in, JournalRecord& record) {
  std::string name;
  if (!in.text(name)) return false;
  const auto* const found = std::find(kind_names.begin(), kind_names.end(), name);
  if (found == kind_names.end()) return false;
  record.kind = static_cast<JournalKind>(found - kind_names.begin());
  return true;
}

using Record = JournalRecord;
constexpr std::array<Named<Record>, 22> record_names = {{
    {"build", [](JsonReader& in, Record& record) { return in.text(record.build); }},
    {"content", [](JsonReader&, Record&) { return false; }},  // see read_config
    {"cut", [](JsonReader& in, Record& record) { return read_cut(in, record.cut); }},
    {"epoch", [](JsonReader& in, Record& record) { return in.integer(record.epoch); }},
    {"events",
     [](JsonReader& in, Record& record) {
       return in.items([&] { return read_event(in, record.events.emplace_back()); });
     }},
    {"fold_version",
     [](JsonReader& in, Record& record) { return in.integer(record.fold_version); }},
    {"forgets", [](JsonReader& in, Record& record) { return in.truth(record.forgets); }},
    {"generation", [](JsonReader& in, Record& record) { return in.integer(record.generation); }},
    {"kind", read_kind},
    {"owner", [](JsonReader& in, Record& record) { return in.text(record.owner); }},
    {"partitions", [](JsonReader& in, Record& record) { return in.integer(record.partitions); }},
    {"prev_hash", [](JsonReader& in, Record& record) { return in.text(record.prev_hash); }},
    {"public_key", [](JsonReader& in, Record& record) { return in.text(record.public_key); }},
    {"reason", [](JsonReader& in, Record& record) { return in.text(record.reason); }},
    {"seq", [](JsonReader& in, Record& record) { return in.integer(record.seq); }},
    {"shard", [](JsonReader& in, Record& record) { return in.integer(record.shard); }},
    {"shard_seed", [](JsonReader& in, Record& record) { return read_hex(in, record.shard_seed); }},
    {"snapshot", [](JsonReader&, Record&) { return false; }},  // rare: by the tree
    {"stage", [](JsonReader& in, Record& record) { return in.text(record.stage); }},
    {"state_hash", [](JsonReader& in, Record& record) { return read_hex(in, record.state_hash); }},
    {"topic_kind", [](JsonReader& in, Record& record) { return in.text(record.topic_kind); }},
    {"version", [](JsonReader& in, Record& record) { return in.integer(record.version); }},
}};

constexpr std::uint64_t record_bit(std::string_view name) {
  for (std::size_t i = 0; i < record_names.size(); ++i) {
    if (record_names[i].first == name) return std::uint64_t{1} << i;
  }
  return 0;
}

template <std::size_t count>
constexpr std::uint64_t record_bits(const std::array<std::string_view, count>& names) {
  std::uint64_t bits = 0;
  for (const std::string_view name : names) bits |= record_bit(name);
  return bits;
}

// What a record of that kind consists of.
std::uint64_t members_of(JournalKind kind) {
  constexpr std::uint64_t all =
      record_bits(std::array<std::string_view, 5>{"version", "kind", "shard", "epoch", "seq"});
  switch (kind) {
    case JournalKind::claim:
      return all | record_bits(std::array<std::string_view, 6>{
                       "owner", "build", "fold_version", "partitions", "shard_seed", "public_key"});
    case JournalKind::batch:
      return all | record_bits(std::array<std::string_view, 3>{"cut", "state_hash", "events"});
    case JournalKind::failed:
      return all | record_bits(std::array<std::string_view, 3>{"cut", "stage", "reason"});
    case JournalKind::skip:
      return all | record_bits(std::array<std::string_view, 3>{"cut", "topic_kind", "reason"});
    case JournalKind::config:
      return all | record_bit("generation");
    case JournalKind::snapshot:
      return all | record_bit("snapshot");
  }
  return 0;
}

// False: not certain. A member of another kind would be left out by the tree, so it is not certain.
bool read_record(std::string_view body, JournalRecord& record) {
  JsonReader in(body);
  std::uint64_t found = 0;
  if (!read_named(in, record, found, record_names) || !in.ends()) return false;
  constexpr std::uint64_t optional = record_bit("prev_hash");
  constexpr std::uint64_t of_claims = record_bit("forgets");
  const std::uint64_t may = record.kind == JournalKind::claim ? optional | of_claims : optional;
  return (found & ~may) == members_of(record.kind) && record.version <= journal_version;
}

constexpr std::string_view config_start = "{\"content\":";

// A config record, whose content of any form comes first: kept as it stands where it is canonical.
bool read_config(std::string_view body, JournalRecord& record) {
  const std::string_view content = body.substr(config_start.size());
  const std::size_t length = canonical_length(content);
  if (length == 0 || length == content.size() || content[length] != ',') return false;
  std::string rest(content.substr(length));
  rest.front() = '{';
  record.content = content.substr(0, length);
  return read_record(rest, record) && record.kind == JournalKind::config;
}

// The content is kept as an object: readable with kcat and jq, canonical by its sorted keys.
void append_content(std::string& out, const std::string& content) {
  if (canonical_length(content) == content.size() && !content.empty()) {
    out += content;
  } else {
    out += dump(Json::parse(content, nullptr, false));
  }
}

}  // namespace

const char* to_string(JournalKind kind) {
  return kind_names[static_cast<std::size_t>(kind)];
}

std::string encode_body(const JournalRecord& record) {
  const JournalKind kind = record.kind;
  const bool is_claim = kind == JournalKind::claim;
  const bool is_batch = kind == JournalKind::batch;
  const bool is_config = kind == JournalKind::config;
  const bool is_failed = kind == JournalKind::failed;
  const bool is_skip = kind == JournalKind::skip;
  const bool is_snapshot = kind == JournalKind::snapshot;
  const bool has_cut = is_batch || is_failed || is_skip;
  std::string out;
  // Room for an ordinary record, which else would move a handful of times while it grows.
  out.reserve(1024 + 512 * record.events.size());
  JsonObjectWriter object(out);
  // Sorted by name, whatever the kind: the bytes are canonical.
  if (is_claim) append_json(object.member("build"), record.build);
  if (is_config) append_content(object.member("content"), record.content);
  if (has_cut) append_cut(object.member("cut"), record.cut);
  append_json(object.member("epoch"), record.epoch);
  if (is_batch) append_events(object.member("events"), record.events);
  if (is_claim) append_json(object.member("fold_version"), record.fold_version);
  if (is_claim && record.forgets) append_json(object.member("forgets"), true);
  if (is_config) append_json(object.member("generation"), record.generation);
  append_json(object.member("kind"), std::string_view(to_string(kind)));
  if (is_claim) append_json(object.member("owner"), record.owner);
  if (is_claim) append_json(object.member("partitions"), record.partitions);
  if (!record.prev_hash.empty()) append_json(object.member("prev_hash"), record.prev_hash);
  if (is_claim) append_json(object.member("public_key"), record.public_key);
  if (is_failed || is_skip) append_json(object.member("reason"), record.reason);
  append_json(object.member("seq"), record.seq);
  append_json(object.member("shard"), record.shard);
  if (is_claim) append_json(object.member("shard_seed"), to_hex(record.shard_seed));
  if (is_snapshot) append_json(object.member("snapshot"), record.snapshot);
  if (is_failed) append_json(object.member("stage"), record.stage);
  if (is_batch) append_json(object.member("state_hash"), to_hex(record.state_hash));
  if (is_skip) append_json(object.member("topic_kind"), record.topic_kind);
  append_json(object.member("version"), record.version);
  object.end();
  return out;
}

Result<JournalRecord> decode_body_by_tree(std::string_view body) {
  const Result<Json> json = parse_json(body);
  if (!json) return json.error().within("journal record");
  try {
    JournalRecord record;
    record.version = exactly<std::int64_t>(json->at("version"));
    if (record.version > journal_version) return record;
    const auto name = json->at("kind").get<std::string>();
    const auto* const found = std::find(kind_names.begin(), kind_names.end(), name);
    if (found == kind_names.end()) {
      return Error{ErrorCode::corrupt, "journal record of unknown kind '" + name + "'"};
    }
    record.kind = static_cast<JournalKind>(found - kind_names.begin());
    record.shard = exactly<std::int64_t>(json->at("shard"));
    record.epoch = exactly<std::int64_t>(json->at("epoch"));
    record.seq = exactly<std::int64_t>(json->at("seq"));
    record.prev_hash = json->value("prev_hash", std::string());
    rest_from_json(*json, record);
    return record;
  } catch (const Json::exception& failure) {
    return Error{ErrorCode::corrupt, std::string("journal record: ") + failure.what()};
  }
}

Result<JournalRecord> decode_body(std::string_view body) {
  JournalRecord record;
  const bool read = body.starts_with(config_start)
                        ? read_config(body, record)
                        : read_record(body, record) && record.kind != JournalKind::config;
  if (read) return record;
  return decode_body_by_tree(body);
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
  const std::string_view signature = value.substr(value_start.size(), signature_digits);
  // One way to write each record: in other digits it would be another record that counts as well.
  if (signature.find_first_not_of("0123456789abcdef") != std::string_view::npos) {
    return Error{ErrorCode::corrupt, "a signature is written in lower-case hex digits"};
  }
  return SignedBody{signature, value.substr(body_at, value.size() - body_at - 1)};
}

}  // namespace selfheal
