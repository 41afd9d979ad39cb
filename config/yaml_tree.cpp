#include "config/yaml_tree.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "topics/json_codec.hpp"

namespace selfheal {
namespace {

int line_of(const YAML::Mark& mark) {
  return mark.is_null() ? 0 : mark.line + 1;
}

// Copies the library's graph of shared nodes into a tree, under the caps.
class Converter {
 public:
  explicit Converter(const std::string& file) : file_(file) {}

  Result<YamlNode> convert(const YAML::Node& source, int depth) {
    YamlNode node;
    node.line = line_of(source.Mark());
    if (depth > yaml_depth_max) {
      return fail(ErrorCode::exhausted, node.line,
                  "nested deeper than " + std::to_string(yaml_depth_max) + " levels");
    }
    if (++nodes_ > yaml_nodes_max || text_bytes_ > yaml_text_bytes_max) {
      return fail(ErrorCode::exhausted, node.line, "too large once its aliases are copied out");
    }
    if (source.IsScalar()) return scalar(source, std::move(node));
    if (source.IsSequence()) return list(source, std::move(node), depth);
    if (source.IsMap()) return map(source, std::move(node), depth);
    return node;
  }

 private:
  Error fail(ErrorCode code, int line, const std::string& what) const {
    return {code, yaml_place(file_, line) + ": " + what};
  }

  Result<YamlNode> scalar(const YAML::Node& source, YamlNode node) {
    node.kind = YamlNode::Kind::scalar;
    node.text = source.Scalar();
    node.quoted = source.Tag() == "!";
    text_bytes_ += node.text.size();
    // An argument ends at its first NUL: the rest would be approved and never used.
    if (node.text.find('\0') != std::string::npos) {
      return fail(ErrorCode::invalid, node.line, "a text holds a NUL character");
    }
    return node;
  }

  Result<YamlNode> list(const YAML::Node& source, YamlNode node, int depth) {
    node.kind = YamlNode::Kind::list;
    for (const YAML::Node& item : source) {
      Result<YamlNode> converted = convert(item, depth + 1);
      if (!converted) return converted;
      node.items.push_back(std::move(*converted));
    }
    return node;
  }

  // The library keeps both of two equal keys; the reader of the file sees only one of them.
  Result<YamlNode> map(const YAML::Node& source, YamlNode node, int depth) {
    node.kind = YamlNode::Kind::map;
    std::map<std::string, int> first_lines;
    for (const auto& entry : source) {
      const int line = line_of(entry.first.Mark());
      if (!entry.first.IsScalar()) return fail(ErrorCode::invalid, line, "a key must be text");
      const std::string& key = entry.first.Scalar();
      const auto [found, added] = first_lines.emplace(key, line);
      if (!added) {
        return fail(ErrorCode::invalid, line,
                    "key '" + key + "' is already given in line " + std::to_string(found->second));
      }
      text_bytes_ += key.size();
      Result<YamlNode> converted = convert(entry.second, depth + 1);
      if (!converted) return converted;
      // A value that is left out stands, for the library, where the next thing begins.
      if (converted->kind == YamlNode::Kind::null) converted->line = line;
      node.keys.push_back({key, line});
      node.items.push_back(std::move(*converted));
    }
    return node;
  }

  const std::string& file_;
  std::size_t nodes_ = 0;
  std::size_t text_bytes_ = 0;
};

// Sees where documents begin and nothing else.
class DocumentMarks : public YAML::EventHandler {
 public:
  std::vector<int> positions;
  std::vector<int> lines;

  void OnDocumentStart(const YAML::Mark& mark) override {
    positions.push_back(mark.pos);
    lines.push_back(line_of(mark));
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

// YAML::LoadAll would do, but takes memory without end where a document begins with a comma: its
// parser then reports one empty document after the other at the same place.
Result<void> check_one_document(const std::string& text, const std::string& file) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  DocumentMarks marks;
  while (marks.positions.size() < 2 && parser.HandleNextDocument(marks)) {
  }
  if (marks.positions.size() < 2) return {};
  const bool stuck = marks.positions[0] == marks.positions[1];
  return Error{ErrorCode::invalid, yaml_place(file, marks.lines[1]) +
                                       (stuck ? ": not YAML: nothing can begin like this"
                                              : ": a second document; one file holds one")};
}

// The library takes some control characters for the end of the file, so a part of a playbook
// could go unread; and two texts that differ in broken UTF-8 only would have one canonical form.
Result<void> check_bytes(std::string_view text, const std::string& file) {
  int line = 1;
  for (const char each : text) {
    if (each == '\n') ++line;
    const auto byte = static_cast<unsigned char>(each);
    if (byte >= 0x20 ? byte == 0x7f : each != '\n' && each != '\r' && each != '\t') {
      return Error{ErrorCode::invalid, yaml_place(file, line) + ": holds a control character"};
    }
  }
  try {
    (void)Json(text).dump();
  } catch (const Json::exception&) {
    return Error{ErrorCode::invalid, file + ": is not UTF-8"};
  }
  return {};
}

}  // namespace

const YamlNode* YamlNode::find(std::string_view key) const {
  const auto found =
      std::find_if(keys.begin(), keys.end(), [&](const YamlKey& each) { return each.text == key; });
  return found == keys.end() ? nullptr : &items[static_cast<std::size_t>(found - keys.begin())];
}

std::string yaml_place(const std::string& file, int line) {
  return line == 0 ? file : file + ":" + std::to_string(line);
}

Result<YamlNode> parse_yaml(std::string_view text, const std::string& file) {
  if (text.size() > yaml_bytes_max) {
    return Error{ErrorCode::exhausted,
                 file + ": is larger than " + std::to_string(yaml_bytes_max) + " bytes"};
  }
  if (const Result<void> checked = check_bytes(text, file); !checked) return checked.error();
  try {
    const std::string copy(text);
    const Result<void> single = check_one_document(copy, file);
    if (!single) return single.error();
    return Converter(file).convert(YAML::Load(copy), 0);
  } catch (const YAML::Exception& exception) {
    return Error{ErrorCode::invalid,
                 yaml_place(file, line_of(exception.mark)) + ": not YAML: " + exception.msg};
  }
}

// Reads one byte more than is allowed rather than ask for the size: a device or pipe has none.
Result<std::string> read_text_file(const std::string& file) {
  std::error_code failure;
  if (!std::filesystem::exists(file, failure)) {
    return Error{ErrorCode::not_found, file + ": no such file"};
  }
  std::ifstream stream(file, std::ios::binary);
  if (std::filesystem::is_directory(file, failure) || !stream) {
    return Error{ErrorCode::unavailable, file + ": cannot be read"};
  }
  std::string text(yaml_bytes_max + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (stream.bad()) return Error{ErrorCode::unavailable, file + ": cannot be read"};
  text.resize(static_cast<std::size_t>(stream.gcount()));
  if (text.size() > yaml_bytes_max) {
    return Error{ErrorCode::exhausted,
                 file + ": is larger than " + std::to_string(yaml_bytes_max) + " bytes"};
  }
  return text;
}

}  // namespace selfheal
