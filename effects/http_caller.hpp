#pragma once
// One HTTP request with a hard end: whatever name servers, connection or server do, the call
// returns by its limit. Redirects are answers, never followed: they were not approved.
#include <map>
#include <string>

#include "base/time.hpp"
#include "decision/playbook.hpp"

namespace selfheal {

enum class HttpOutcome : std::uint8_t {
  answered,
  not_sent,  // the server cannot have seen the request
  unknown,   // it may have: no whole answer came back
};

struct HttpAnswer {
  HttpOutcome outcome = HttpOutcome::not_sent;
  std::int64_t status = 0;
  std::string body;   // at most 1 MiB; the rest is not kept
  std::string error;  // where there is no answer
};

// `headers` are added to the call's own and win over them.
HttpAnswer call_http(const HttpCall& call, const std::map<std::string, std::string>& headers,
                     DurationMs limit_ms);

// Empty where the answer is the expected one, else what is wrong with it.
std::string why_unexpected(const HttpCall& call, const HttpAnswer& answer);

}  // namespace selfheal
