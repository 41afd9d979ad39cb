// The chain's head as text: what is saved with the pages of a shard.
#include <algorithm>
#include <array>
#include <bit>

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

// A bit for each name that has to be there: chains that were saved by older builds lack some.
constexpr std::uint64_t required_names() {
  std::uint64_t required = 0;
  for (std::size_t i = 0; i < chain_names.size(); ++i) {
    const std::string_view name = chain_names[i].first;
    const bool newer = name == "settings_ms" || name == "snapshot_ms" || name == "snapshot_seq";
    if (!newer) required |= std::uint64_t{1} << i;
  }
  return required;
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

// Only what encode_chain() writes is ever saved, so what the strict reader is not certain of is
// corrupt.
Result<Chain> decode_chain(std::string_view text) {
  Chain chain;
  JsonReader in(text);
  std::uint64_t found = 0;
  const bool read = read_named(in, chain, found, chain_names) && in.ends();
  const std::uint64_t missing = required_names() & ~found;
  if (read && missing == 0) return chain;
  if (!read) return Error{ErrorCode::corrupt, "chain: not as it is written"};
  const std::string name(chain_names[static_cast<std::size_t>(std::countr_zero(missing))].first);
  return Error{ErrorCode::corrupt, "chain: " + name + " is missing"};
}

}  // namespace selfheal
