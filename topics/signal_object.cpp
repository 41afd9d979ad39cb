#include "topics/signal_object.hpp"

#include <simdjson.h>

#include <cstring>

#include "topics/eight_bytes.hpp"

namespace selfheal {
namespace {

namespace json = simdjson::ondemand;
using simdjson::error_code;

// A wrong type is the member's fault and reading goes on; any other error is the text's.
class MemberReader {
 public:
  MemberReader(SignalDraft& draft, std::string_view key) : draft_(draft), key_(key) {}

  // A text without escapes is taken where it lies; its token runs from quote to quote. Skipping it
  // unread is what the loop does with any value that was not asked for.
  error_code text(json::value value, std::string_view& out) {
    std::string_view token = value.raw_json_token();
    while (token.back() <= ' ' && token.size() > 1) token.remove_suffix(1);
    if (token.size() >= 2 && token.front() == '"' && token.back() == '"' &&
        token.find('\\') == std::string_view::npos) {
      out = token.substr(1, token.size() - 2);
      return simdjson::SUCCESS;
    }
    return settle(value, value.get_string().get(out), "is not a text");
  }

  error_code number(json::value value, std::optional<double>& out) {
    double parsed = 0;
    const error_code code = value.get_double().get(parsed);
    if (code == simdjson::SUCCESS) out = parsed;
    return settle(value, code, "is not a finite number");
  }

  // Some say in words how far they are: that is no mistake, and nothing here needs it.
  error_code number_if_any(json::value value, std::optional<double>& out) {
    json::json_type type{};
    if (const error_code code = value.type().get(type)) return code;
    return type == json::json_type::number ? number(value, out) : simdjson::SUCCESS;
  }

  error_code whole(json::value value, std::optional<std::int64_t>& out) {
    std::int64_t parsed = 0;
    const error_code code = value.get_int64().get(parsed);
    if (code == simdjson::SUCCESS) out = parsed;
    return settle(value, code, "is not a whole number");
  }

  error_code resource(json::value value) {
    json::object object;
    if (const error_code code = value.get_object().get(object)) {
      return settle(value, code, "is not an object");
    }
    for (auto member : object) {
      json::field each;
      if (const error_code code = std::move(member).get(each)) return code;
      std::string_view name;
      if (const error_code code = each.unescaped_key().get(name)) return code;
      std::string_view unused;
      std::string_view& out = name == "kind" ? draft_.resource_kind
                              : name == "id" ? draft_.resource_id
                                             : unused;
      if (&out == &unused) continue;
      if (const error_code code = text(each.value(), out)) return code;
    }
    return simdjson::SUCCESS;
  }

  error_code labels(json::value value) {
    json::object object;
    if (const error_code code = value.get_object().get(object)) {
      return settle(value, code, "is not an object");
    }
    draft_.labels.clear();
    for (auto member : object) {
      json::field each;
      if (const error_code code = std::move(member).get(each)) return code;
      std::string_view name;
      if (const error_code code = each.unescaped_key().get(name)) return code;
      std::string_view out;
      if (const error_code code = text(each.value(), out)) return code;
      // One too many is enough to refuse the signal; the rest need not be kept.
      if (draft_.labels.size() <= signal_limits::labels_max) draft_.labels.emplace_back(name, out);
    }
    return simdjson::SUCCESS;
  }

  error_code playbooks(json::value value) {
    json::array array;
    if (const error_code code = value.get_array().get(array)) {
      return settle(value, code, "is not a list");
    }
    draft_.suggested_playbooks.clear();
    for (auto element : array) {
      json::value each;
      // get() is for a result that is given up, though a copy would cost the same.
      // NOLINTNEXTLINE(performance-move-const-arg)
      if (const error_code code = std::move(element).get(each)) return code;
      std::string_view out;
      if (const error_code code = text(each, out)) return code;
      if (draft_.suggested_playbooks.size() <= signal_limits::playbooks_max) {
        draft_.suggested_playbooks.push_back(out);
      }
    }
    return simdjson::SUCCESS;
  }

  // The text of any value.
  error_code raw(json::value value, std::string_view& out) {
    json::json_type type{};
    if (const error_code code = value.type().get(type)) return code;
    if (type == json::json_type::object) {
      json::object object;
      if (const error_code code = value.get_object().get(object)) return code;
      return object.raw_json().get(out);
    }
    if (type == json::json_type::array) {
      json::array array;
      if (const error_code code = value.get_array().get(array)) return code;
      return array.raw_json().get(out);
    }
    out = value.raw_json_token();
    while (!out.empty() && std::strchr(" \t\r\n", out.back()) != nullptr) out.remove_suffix(1);
    return simdjson::SUCCESS;
  }

  // The text of an object; anything else leaves `out` empty.
  error_code raw_object(json::value value, std::string_view& out) {
    json::json_type type{};
    if (const error_code code = value.type().get(type)) return code;
    return type == json::json_type::object ? raw(value, out) : simdjson::SUCCESS;
  }

 private:
  error_code settle(json::value value, error_code code, std::string_view what) {
    if (code == simdjson::SUCCESS) return code;
    if (code != simdjson::INCORRECT_TYPE && code != simdjson::NUMBER_ERROR &&
        code != simdjson::NUMBER_OUT_OF_RANGE) {
      return code;
    }
    // null is how some libraries write "absent".
    bool null = false;
    if (code == simdjson::INCORRECT_TYPE && key_ != "value" &&
        value.is_null().get(null) == simdjson::SUCCESS && null) {
      return simdjson::SUCCESS;
    }
    if (draft_.wrong.empty()) {
      draft_.wrong = "wrong_type: ";
      draft_.wrong += key_;
      draft_.wrong += ' ';
      draft_.wrong += what;
    }
    return simdjson::SUCCESS;
  }

  SignalDraft& draft_;
  std::string_view key_;
};

// The members of metrics come first: they are nearly all there are. Sizes spare most comparisons.
error_code read_member(SignalDraft& draft, std::string_view key, json::value value) {
  MemberReader member(draft, key);
  switch (key.size()) {
    case 2:
      if (key == "id") return member.text(value, draft.id);
      break;
    case 4:
      if (key == "type") return member.text(value, draft.type);
      if (key == "time") return member.text(value, draft.time);
      if (key == "code") return member.text(value, draft.code);
      if (key == "data") return member.raw_object(value, draft.data);
      break;
    case 5:
      if (key == "value") return member.number(value, draft.value);
      break;
    case 6:
      if (key == "metric") return member.text(value, draft.metric);
      if (key == "labels") return member.labels(value);
      if (key == "status") return member.text(value, draft.status);
      if (key == "worker") return member.text(value, draft.worker);
      if (key == "impact") return member.text(value, draft.impact);
      break;
    case 7:
      if (key == "service") return member.text(value, draft.service);
      if (key == "time_ms") return member.whole(value, draft.time_ms);
      if (key == "message") return member.text(value, draft.message);
      if (key == "task_id") return member.text(value, draft.task_id);
      break;
    case 8:
      if (key == "resource") return member.resource(value);
      if (key == "sentinel") return member.text(value, draft.sentinel);
      if (key == "severity") return member.text(value, draft.severity);
      if (key == "evidence") return member.raw(value, draft.evidence);
      if (key == "progress") return member.number_if_any(value, draft.progress);
      break;
    case 9:
      if (key == "alertname") return member.text(value, draft.alertname);
      break;
    case 10:
      if (key == "confidence") return member.number(value, draft.confidence);
      if (key == "likelihood") return member.number(value, draft.likelihood);
      break;
    case 11:
      if (key == "specversion") draft.cloud_event = true;
      if (key == "worker_type") return member.text(value, draft.worker_type);
      if (key == "fingerprint") return member.text(value, draft.fingerprint);
      break;
    case 12:
      if (key == "health_score") return member.number(value, draft.health_score);
      break;
    case 17:
      if (key == "lead_time_seconds") return member.number(value, draft.lead_time_seconds);
      break;
    case 19:
      if (key == "suggested_playbooks") return member.playbooks(value);
      break;
    default:
      break;
  }
  return simdjson::SUCCESS;  // not ours: skipped by the next step of the loop
}

// The first quote or backslash at or behind `text`, eight bytes at a time. There is one, and the
// padding behind every document makes reading on safe.
const char* quote_or_escape(const char* text) {
  for (;; text += sizeof(std::uint64_t)) {
    const std::uint64_t word = eight_bytes::load(text);
    const std::uint64_t found = eight_bytes::equal(word, '"') | eight_bytes::equal(word, '\\');
    if (found != 0) return text + eight_bytes::first(found);
  }
}

// The key as written, which spares its copy; escapes are undone where there are any.
error_code key_of(json::field& field, std::string_view& key) {
  const char* raw = field.key().raw();
  const char* end = quote_or_escape(raw);
  if (*end == '\\') return field.unescaped_key().get(key);
  key = {raw, static_cast<std::size_t>(end - raw)};
  return simdjson::SUCCESS;
}

error_code read_members(json::document& document, SignalDraft& draft) {
  json::object object;
  if (const error_code code = document.get_object().get(object)) return code;
  for (auto member : object) {
    json::field field;
    if (const error_code code = std::move(member).get(field)) return code;
    std::string_view key;
    if (const error_code code = key_of(field, key)) return code;
    if (const error_code code = read_member(draft, key, field.value())) return code;
  }
  // The one answer that says that nothing follows.
  const error_code rest = document.current_location().error();
  return rest == simdjson::OUT_OF_BOUNDS ? simdjson::SUCCESS : simdjson::TAPE_ERROR;
}

}  // namespace

struct SignalObjectReader::Parser {
  json::parser parser;
};

SignalObjectReader::SignalObjectReader() : parser_(std::make_unique<Parser>()) {}
SignalObjectReader::~SignalObjectReader() = default;

bool SignalObjectReader::read(std::string_view text, SignalDraft& draft, std::string& why) {
  static_assert(text_padding >= simdjson::SIMDJSON_PADDING);
  draft.clear();
  const simdjson::padded_string_view padded(text.data(), text.size(), text.size() + text_padding);
  json::document document;
  error_code code = parser_->parser.iterate(padded).get(document);
  if (code == simdjson::SUCCESS) code = read_members(document, draft);
  if (code == simdjson::SUCCESS) return true;
  why = "bad_json: ";
  why += simdjson::error_message(code);
  return false;
}

}  // namespace selfheal
