#include "decision/settings.hpp"

#include <algorithm>

#include "base/hash.hpp"
#include "base/signature.hpp"
#include "topics/json_codec.hpp"

namespace selfheal {
namespace {

template <class Entry>
const Entry* by_name(const std::vector<Entry>& entries, std::string_view name) {
  const auto found = std::find_if(entries.begin(), entries.end(),
                                  [&](const Entry& entry) { return entry.name == name; });
  return found == entries.end() ? nullptr : &*found;
}

}  // namespace

std::string policy_hash(const Policy& policy) {
  return to_hex(sha256(to_json_text(policy)));
}

std::string settings_text(const Settings& settings) {
  return to_json_text(settings);
}

Result<Settings> settings_from_text(const std::string& text) {
  Result<Settings> settings = from_json_text<Settings>(text);
  if (!settings) return settings.error().within("settings");
  return settings;
}

const Playbook* find_playbook(const Settings& settings, std::string_view name) {
  return by_name(settings.playbooks, name);
}

const ServiceEntry* find_service(const Settings& settings, std::string_view name) {
  return by_name(settings.graph.services, name);
}

const KeyEntry* find_key(const Settings& settings, std::string_view name) {
  return by_name(settings.keys, name);
}

bool is_signed_by_shard(const Settings& settings, const ControlMessage& message) {
  const KeyEntry* key = find_key(settings, message.key_id);
  return key != nullptr && key->role == "shard" &&
         verify(key->public_key, message.signed_text(), message.signature);
}

const TimeZone* find_time_zone(const Settings& settings, std::string_view name) {
  return by_name(settings.time_zones, name);
}

}  // namespace selfheal
