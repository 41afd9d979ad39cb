#pragma once
// A YAML document as plain values. The YAML library stays behind this border: its exceptions are
// turned into Errors here, and aliases are copied out under a cap, so that what reads the tree
// needs no defence of its own. All functions are thread-safe.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace selfheal {

inline constexpr std::size_t yaml_bytes_max = 1 << 20;
inline constexpr int yaml_depth_max = 32;
// Of a document with its aliases copied out: a few lines of aliases can stand for a fortune.
inline constexpr std::size_t yaml_nodes_max = 600'000;
inline constexpr std::size_t yaml_text_bytes_max = 4 << 20;

struct YamlKey {
  std::string text;
  int line = 0;  // from 1
};

struct YamlNode {
  enum class Kind : std::uint8_t { null, scalar, list, map };
  Kind kind = Kind::null;
  bool quoted = false;          // of a scalar: text even where it looks like a number
  int line = 0;                 // from 1; 0: not from a file
  std::string text;             // of a scalar
  std::vector<YamlKey> keys;    // of a map, in the order of the file, each once
  std::vector<YamlNode> items;  // of a list; of a map: the value of each key

  // Null where there is no such key.
  const YamlNode* find(std::string_view key) const;
};

// "file:12", or just the file where the line is not known.
std::string yaml_place(const std::string& file, int line);

// Reads one document; an empty one gives a null node. `file` only names the place in errors.
// Fails with ErrorCode::invalid on bad YAML, a duplicate key, control characters, bytes that are
// not UTF-8, a second document; with ErrorCode::exhausted above a cap.
Result<YamlNode> parse_yaml(std::string_view text, const std::string& file);

// The bytes of a file of at most yaml_bytes_max. Fails with not_found, unavailable or exhausted.
Result<std::string> read_text_file(const std::string& file);

}  // namespace selfheal
