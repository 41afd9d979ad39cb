#pragma once
// How the embedded log lays out its keys and values in RocksDB. Keys are big-endian, so that their
// byte order is the order of topic, partition and offset; everything in a value is little-endian.
//   'r' topic u32, partition u32, offset u64  ->  append time i64, key size u32, header count u32,
//                                                 key, headers (name size u32, value size u32,
//                                                 name, value) each, then the record's value
//   'b' topic u32, partition u32              ->  oldest kept offset u64
//   't' topic name                            ->  the topic's specification as JSON
// All functions are pure.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "topics/log.hpp"

namespace selfheal::record_format {

std::string record_key(std::uint32_t topic, std::int32_t partition, Offset offset);
std::string begin_key(std::uint32_t topic, std::int32_t partition);
std::string topic_key(const std::string& name);
constexpr std::string_view topic_keys_first = "t";
constexpr std::string_view topic_keys_end = "u";

// Nothing where `key` is not a record key of this partition.
std::optional<Offset> offset_of(std::string_view key, std::uint32_t topic, std::int32_t partition);

std::string encode_offset(Offset offset);
std::optional<Offset> decode_offset(std::string_view text);

void encode_record(const NewRecord& record, TimeMs append_time_ms, std::string& out);

// The views point into the encoded text.
struct StoredRecord {
  TimeMs append_time_ms = 0;
  std::string_view key;
  std::string_view headers;  // decode_headers() reads it
  std::uint32_t header_count = 0;
  std::string_view value;
};
std::optional<StoredRecord> decode_record(std::string_view text);
Headers decode_headers(const StoredRecord& record);
// The value of one header without reading the others into anything; empty where it is not there.
std::string_view find_header(const StoredRecord& record, std::string_view wanted);

}  // namespace selfheal::record_format
