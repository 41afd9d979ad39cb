// The chain's head as text: what is saved with the pages of a shard.
#include <algorithm>

#include "topics/journal.hpp"
#include "topics/json_named.hpp"

namespace selfheal {
namespace {

constexpr std::array<Named<Chain>, 21> chain_names = {{
    {"caught_up_through_ms",
     [](JsonReader& in, Chain& chain) { return in.integer(chain.caught_up_through_ms); }},
    {"control_next", [](JsonReader& in, Chain& chain) { return in.integer(chain.control_next); }},
    {"epoch", [](JsonReader& in, Chain& chain) { return in.integer(chain.epoch); }},
    {"fold_version", [](JsonReader& in, Chain& chain) { return in.integer(chain.fold_version); }},
    {"generation", [](JsonReader& in, Chain& chain) { return in.integer(chain.generation); }},
    {"head",
     [](JsonReader& in, Chain& chain) {
       std::string text;
       if (!in.text(text)) return false;
       const Result<std::string> head = from_hex(text);
       if (!head || head->size() != chain.head.size()) return false;
       std::copy(head->begin(), head->end(), chain.head.begin());
       return true;
     }},
    {"journal_next", [](JsonReader& in, Chain& chain) { return in.integer(chain.journal_next); }},
    {"owner", [](JsonReader& in, Chain& chain) { return in.text(chain.owner); }},
    {"partitions", [](JsonReader& in, Chain& chain) { return in.integer(chain.partitions); }},
    {"poison",
     [](JsonReader& in, Chain& chain) {
       std::vector<std::int64_t> four;
       if (!read_json(in, four) || four.size() != 4) return false;
       chain.poison = {four[0], four[1], four[2], four[3]};
       return true;
     }},
    {"public_key", [](JsonReader& in, Chain& chain) { return in.text(chain.public_key); }},
    {"seq", [](JsonReader& in, Chain& chain) { return in.integer(chain.seq); }},
    {"settings", [](JsonReader& in, Chain& chain) { return in.text(chain.settings); }},
    {"settings_ms", [](JsonReader& in, Chain& chain) { return in.integer(chain.settings_ms); }},
    {"shard", [](JsonReader& in, Chain& chain) { return in.integer(chain.shard); }},
    {"shard_seed", [](JsonReader& in, Chain& chain) { return read_hex(in, chain.shard_seed); }},
    {"signals_next", [](JsonReader& in, Chain& chain) { return in.integer(chain.signals_next); }},
    {"snapshot_ms", [](JsonReader& in, Chain& chain) { return in.integer(chain.snapshot_ms); }},
    {"snapshot_seq", [](JsonReader& in, Chain& chain) { return in.integer(chain.snapshot_seq); }},
    {"state_hash", [](JsonReader& in, Chain& chain) { return read_hex(in, chain.state_hash); }},
    {"tick_ms", [](JsonReader& in, Chain& chain) { return in.integer(chain.tick_ms); }},
}};

// False: not certain. One with fewer members is of an older build, and the tree's to read.
bool read_chain(std::string_view text, Chain& chain) {
  constexpr std::uint64_t all = (std::uint64_t{1} << chain_names.size()) - 1;
  JsonReader in(text);
  std::uint64_t found = 0;
  return read_named(in, chain, found, chain_names) && in.ends() && found == all;
}

}  // namespace

std::string encode_chain(const Chain& chain) {
  std::string out;
  out.reserve(1024 + chain.settings.size() * 5 / 4);
  JsonObjectWriter object(out);
  append_json(object.member("caught_up_through_ms"), chain.caught_up_through_ms);
  append_json(object.member("control_next"), chain.control_next);
  append_json(object.member("epoch"), chain.epoch);
  append_json(object.member("fold_version"), chain.fold_version);
  append_json(object.member("generation"), chain.generation);
  append_json(object.member("head"), to_hex(chain.head));
  append_json(object.member("journal_next"), chain.journal_next);
  append_json(object.member("owner"), chain.owner);
  append_json(object.member("partitions"), chain.partitions);
  const PoisonGuard& poison = chain.poison;
  append_json(object.member("poison"),
              std::vector<std::int64_t>{poison.signals_until, poison.control_until,
                                        poison.records_max, poison.single_failures});
  append_json(object.member("public_key"), chain.public_key);
  append_json(object.member("seq"), chain.seq);
  append_json(object.member("settings"), chain.settings);
  append_json(object.member("settings_ms"), chain.settings_ms);
  append_json(object.member("shard"), chain.shard);
  append_json(object.member("shard_seed"), to_hex(chain.shard_seed));
  append_json(object.member("signals_next"), chain.signals_next);
  append_json(object.member("snapshot_ms"), chain.snapshot_ms);
  append_json(object.member("snapshot_seq"), chain.snapshot_seq);
  append_json(object.member("state_hash"), to_hex(chain.state_hash));
  append_json(object.member("tick_ms"), chain.tick_ms);
  object.end();
  return out;
}

Result<Chain> decode_chain(std::string_view text) {
  Chain read;
  if (read_chain(text, read)) return read;
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
    // Chains that were saved before there were these have none.
    chain.settings_ms = json.value("settings_ms", TimeMs{0});
    chain.snapshot_seq = json.value("snapshot_seq", std::int64_t{0});
    chain.snapshot_ms = json.value("snapshot_ms", TimeMs{0});
    const Json& poison = json.at("poison");
    chain.poison = {poison.at(0).get<Offset>(), poison.at(1).get<Offset>(),
                    poison.at(2).get<std::int64_t>(), poison.at(3).get<std::int64_t>()};
    chain.journal_next = json.at("journal_next").get<Offset>();
    return chain;
  } catch (const Json::exception& failure) {
    return Error{ErrorCode::corrupt, std::string("chain: ") + failure.what()};
  }
}

}  // namespace selfheal
