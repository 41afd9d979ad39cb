#include "effects/output_capture.hpp"

#include <algorithm>

#include "topics/json_codec.hpp"

namespace selfheal {
namespace {

constexpr std::size_t half_bytes = std::size_t{32} * 1024;

// JSON's replacement of invalid bytes, so that a text reads the same before and after it travels.
std::string valid_utf8(std::string_view text) {
  const std::string quoted = dump(Json(std::string(text)));
  const Result<Json> json = parse_json(quoted);
  return json ? json->get<std::string>() : std::string();
}

bool inside_character(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U;
}

}  // namespace

void OutputCapture::take(std::string_view bytes) {
  size_ += bytes.size();
  const std::size_t room = std::min(half_bytes - head_.size(), bytes.size());
  head_.append(bytes.substr(0, room));
  bytes.remove_prefix(room);
  // Cut only now and then: moving the tail for every chunk would cost more than the program.
  if (bytes.size() > half_bytes) bytes.remove_prefix(bytes.size() - half_bytes);
  tail_.append(bytes);
  if (tail_.size() > 2 * half_bytes) tail_.erase(0, tail_.size() - half_bytes);
}

std::string OutputCapture::scrubbed(const Secrets& secrets) const {
  if (size_ <= 2 * half_bytes) return scrub(head_ + tail_, secrets);
  const std::string_view tail =
      std::string_view(tail_).substr(tail_.size() - std::min(tail_.size(), half_bytes));
  const std::uint64_t left_out = size_ - head_.size() - tail.size();
  return scrub_cut(head_, CutEdge::end, secrets) + "\n[" + std::to_string(left_out) + " bytes]\n" +
         scrub_cut(tail, CutEdge::begin, secrets);
}

std::string excerpt(std::string_view text, std::size_t bytes_max) {
  constexpr std::string_view gap = "\n[...]\n";
  std::string valid = valid_utf8(text);
  if (valid.size() <= bytes_max) return valid;
  const std::size_t half = (bytes_max - gap.size()) / 2;
  std::size_t head = half;
  while (head > 0 && inside_character(valid[head])) --head;
  std::size_t tail = valid.size() - half;
  while (tail < valid.size() && inside_character(valid[tail])) ++tail;
  return valid.substr(0, head).append(gap).append(valid, tail);
}

}  // namespace selfheal
