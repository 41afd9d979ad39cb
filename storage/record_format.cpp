#include "storage/record_format.hpp"

#include <concepts>

namespace selfheal::record_format {
namespace {

template <std::unsigned_integral T>
void put_big(std::string& out, T value) {
  for (int shift = 8 * (sizeof(T) - 1); shift >= 0; shift -= 8) {
    out += static_cast<char>(value >> shift & 0xff);
  }
}

template <std::unsigned_integral T>
void put_little(std::string& out, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) out += static_cast<char>(value >> 8 * i & 0xff);
}

// Takes a number off the front of `text`; false where there are too few bytes.
template <std::unsigned_integral T>
bool take_little(std::string_view& text, T& value) {
  if (text.size() < sizeof(T)) return false;
  value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    value |= static_cast<T>(static_cast<T>(static_cast<unsigned char>(text[i])) << 8 * i);
  }
  text.remove_prefix(sizeof(T));
  return true;
}

bool take_text(std::string_view& text, std::size_t size, std::string_view& taken) {
  if (text.size() < size) return false;
  taken = text.substr(0, size);
  text.remove_prefix(size);
  return true;
}

bool take_header(std::string_view& text, std::string_view& name, std::string_view& value) {
  std::uint32_t name_size = 0;
  std::uint32_t value_size = 0;
  return take_little(text, name_size) && take_little(text, value_size) &&
         take_text(text, name_size, name) && take_text(text, value_size, value);
}

std::string partition_key(char space, std::uint32_t topic, std::int32_t partition) {
  std::string key(1, space);
  put_big(key, topic);
  put_big(key, static_cast<std::uint32_t>(partition));
  return key;
}

}  // namespace

std::string record_key(std::uint32_t topic, std::int32_t partition, Offset offset) {
  std::string key = partition_key('r', topic, partition);
  put_big(key, static_cast<std::uint64_t>(offset));
  return key;
}

std::string begin_key(std::uint32_t topic, std::int32_t partition) {
  return partition_key('b', topic, partition);
}

std::string topic_key(const std::string& name) {
  return std::string(topic_keys_first) + name;
}

std::optional<Offset> offset_of(std::string_view key, std::uint32_t topic, std::int32_t partition) {
  const std::string prefix = partition_key('r', topic, partition);
  if (key.size() != prefix.size() + sizeof(Offset) || !key.starts_with(prefix)) return {};
  std::uint64_t offset = 0;
  for (const char byte : key.substr(prefix.size())) {
    offset = offset << 8 | static_cast<unsigned char>(byte);
  }
  return static_cast<Offset>(offset);
}

std::string encode_offset(Offset offset) {
  std::string text;
  put_little(text, static_cast<std::uint64_t>(offset));
  return text;
}

std::optional<Offset> decode_offset(std::string_view text) {
  std::uint64_t offset = 0;
  if (!take_little(text, offset) || !text.empty()) return {};
  return static_cast<Offset>(offset);
}

void encode_record(const NewRecord& record, TimeMs append_time_ms, std::string& out) {
  out.clear();
  out.reserve(record.value.size() + record.key.size() + 64);
  put_little(out, static_cast<std::uint64_t>(append_time_ms));
  put_little(out, static_cast<std::uint32_t>(record.key.size()));
  put_little(out, static_cast<std::uint32_t>(record.headers.size()));
  out += record.key;
  for (const auto& [name, value] : record.headers) {
    put_little(out, static_cast<std::uint32_t>(name.size()));
    put_little(out, static_cast<std::uint32_t>(value.size()));
    out += name;
    out += value;
  }
  out += record.value;
}

std::optional<StoredRecord> decode_record(std::string_view text) {
  StoredRecord record;
  std::uint64_t time = 0;
  std::uint32_t key_size = 0;
  if (!take_little(text, time) || !take_little(text, key_size) ||
      !take_little(text, record.header_count) || !take_text(text, key_size, record.key)) {
    return {};
  }
  record.append_time_ms = static_cast<TimeMs>(time);
  const std::string_view rest = text;
  for (std::uint32_t i = 0; i < record.header_count; ++i) {
    std::string_view name;
    std::string_view value;
    if (!take_header(text, name, value)) return {};
  }
  record.headers = rest.substr(0, rest.size() - text.size());
  record.value = text;
  return record;
}

Headers decode_headers(const StoredRecord& record) {
  Headers headers;
  std::string_view text = record.headers;
  for (std::uint32_t i = 0; i < record.header_count; ++i) {
    std::string_view name;
    std::string_view value;
    if (!take_header(text, name, value)) break;
    headers.emplace_back(name, value);
  }
  return headers;
}

std::string_view find_header(const StoredRecord& record, std::string_view wanted) {
  std::string_view text = record.headers;
  for (std::uint32_t i = 0; i < record.header_count; ++i) {
    std::string_view name;
    std::string_view value;
    if (!take_header(text, name, value)) break;
    if (name == wanted) return value;
  }
  return {};
}

}  // namespace selfheal::record_format
