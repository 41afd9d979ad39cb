#pragma once
// One JSON object read into a draft of a signal. Internal to the decoder.
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "topics/signal_draft.hpp"

namespace selfheal {

// So many bytes behind a text may be read, whatever they are.
constexpr std::size_t text_padding = 64;

// Not thread-safe.
class SignalObjectReader {
 public:
  SignalObjectReader();
  ~SignalObjectReader();
  SignalObjectReader(const SignalObjectReader&) = delete;
  SignalObjectReader& operator=(const SignalObjectReader&) = delete;

  // Reads one whole document, with text_padding behind it. False: it is not one JSON object and
  // nothing but. Texts that had escapes live here until the next one is read.
  bool read(std::string_view text, SignalDraft& draft, std::string& why);

 private:
  struct Parser;
  std::unique_ptr<Parser> parser_;
};

}  // namespace selfheal
