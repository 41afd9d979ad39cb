#include "effects/http_caller.hpp"

#include <httplib.h>
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <memory>
#include <thread>

#include "base/result.hpp"

namespace selfheal {
namespace {

// Enough for `contains` on any health page; what is kept of it is cut further by the caller.
constexpr std::size_t body_bytes_max = std::size_t{1024} * 1024;
constexpr std::size_t url_bytes_max = std::size_t{8} * 1024;

struct Url {
  std::string origin;  // scheme://host[:port]
  std::string target;  // path and query
};

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20U || c == 0x7F;
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), is_control);
}

Result<Url> split_url(const std::string& url) {
  const auto wrong = [](const char* why) { return Error{ErrorCode::invalid, why}; };
  if (url.size() > url_bytes_max) return wrong("the URL is longer than 8 KiB");
  if (has_control(url) || url.find(' ') != std::string::npos) {
    return wrong("the URL holds a blank or a control character");
  }
  const std::size_t scheme = url.find("://");
  const std::string name = url.substr(0, scheme);
  if (scheme == std::string::npos || (name != "http" && name != "https")) {
    return wrong("the URL does not begin with http:// or https://");
  }
  const std::size_t host = scheme + 3;
  const std::size_t end = std::min(url.find_first_of("/?#", host), url.size());
  const std::string authority = url.substr(host, end - host);
  if (authority.empty()) return wrong("the URL names no host");
  // Others would see it in logs; a header is the place for it.
  if (authority.find('@') != std::string::npos) return wrong("the URL holds a user or a password");
  std::string target = url.substr(end, std::min(url.find('#', end), url.size()) - end);
  if (!target.starts_with('/')) target.insert(0, "/");
  return Url{url.substr(0, end), target};
}

// A line break in a value would add headers, or a second request, that nobody approved.
std::string why_malformed(const HttpCall& call) {
  const auto is_letter = [](char c) { return c >= 'A' && c <= 'Z'; };
  if (call.method.empty() || !std::all_of(call.method.begin(), call.method.end(), is_letter)) {
    return "the method is not a word of capital letters";
  }
  for (const auto& [name, value] : call.headers) {
    if (name.empty() || has_control(name) || name.find_first_of(": ") != std::string::npos) {
      return "a header's name is empty or holds a blank, a colon or a control character";
    }
    if (has_control(value)) return "the header " + name + " holds a control character";
  }
  return {};
}

// Shared with the thread that makes the call, which may outlive its caller's patience.
struct LiveCall {
  httplib::Client client;
  httplib::Request request;
  std::string body;
  std::promise<HttpAnswer> answer;

  explicit LiveCall(const std::string& origin) : client(origin) {}
};

HttpAnswer answer_of(const httplib::Result& result, std::string body) {
  HttpAnswer answer;
  if (result) {
    answer.outcome = HttpOutcome::answered;
    answer.status = result->status;
    answer.body = std::move(body);
    return answer;
  }
  answer.error = httplib::to_string(result.error());
  switch (result.error()) {
    case httplib::Error::Connection:
      answer.error = "the connection was refused, or the name is not known";
      break;
    case httplib::Error::ConnectionTimeout:
      answer.error = "no connection within the time limit";
      break;
      // All of these come before the first byte of the request.
    case httplib::Error::BindIPAddress:
    case httplib::Error::SSLConnection:
    case httplib::Error::SSLLoadingCerts:
    case httplib::Error::SSLServerVerification:
      break;
    default:
      answer.outcome = HttpOutcome::unknown;
      answer.error = "the connection was lost (" + answer.error + ")";
  }
  return answer;
}

void make_call(const std::shared_ptr<LiveCall>& live) {
  // A server that hangs up must not end this process.
  sigset_t broken_pipe;
  sigemptyset(&broken_pipe);
  sigaddset(&broken_pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &broken_pipe, nullptr);
  const httplib::Result result = live->client.send(live->request);
  live->answer.set_value(answer_of(result, std::move(live->body)));
}

std::shared_ptr<LiveCall> prepare(const HttpCall& call, const Url& url,
                                  const std::map<std::string, std::string>& headers,
                                  std::chrono::milliseconds limit) {
  auto live = std::make_shared<LiveCall>(url.origin);
  live->client.set_connection_timeout(limit);
  live->client.set_read_timeout(limit);
  live->client.set_write_timeout(limit);
  live->client.set_follow_location(false);
  // One connection, one request: a reused connection could make the library send it again.
  live->client.set_keep_alive(false);
  httplib::Request& request = live->request;
  request.method = call.method;
  request.path = url.target;
  request.body = call.body;
  for (const auto& [name, value] : call.headers) request.headers.emplace(name, value);
  for (const auto& [name, value] : headers) {
    // A playbook cannot forge the key by which a target tells repeats apart.
    request.headers.erase(name);
    request.headers.emplace(name, value);
  }
  request.content_receiver = [body = &live->body](const char* bytes, std::size_t size,
                                                  std::uint64_t, std::uint64_t) {
    // The rest is read and dropped, so that the server sees an orderly end.
    body->append(bytes, std::min(size, body_bytes_max - body->size()));
    return true;
  };
  return live;
}

}  // namespace

HttpAnswer call_http(const HttpCall& call, const std::map<std::string, std::string>& headers,
                     DurationMs limit_ms) {
  HttpAnswer answer;
  const Result<Url> url = split_url(call.url);
  answer.error = url ? why_malformed(call) : url.error().context;
  if (!answer.error.empty()) return answer;
  // A little more than the library's own limits, so that its more exact answer comes first.
  constexpr std::chrono::milliseconds margin{250};
  const std::chrono::milliseconds limit{std::max<DurationMs>(limit_ms, 1)};
  try {
    const std::shared_ptr<LiveCall> live = prepare(call, *url, headers, limit);
    std::future<HttpAnswer> future = live->answer.get_future();
    std::thread(make_call, live).detach();
    if (future.wait_for(limit + margin) == std::future_status::ready) return future.get();
    live->client.stop();
    answer.outcome = HttpOutcome::unknown;
    answer.error = "no whole answer within " + format_duration(limit.count());
  } catch (const std::exception& failure) {
    // Thrown before the thread exists: an origin that the library cannot read, or no memory.
    answer.error = failure.what();
  }
  return answer;
}

std::string why_unexpected(const HttpCall& call, const HttpAnswer& answer) {
  if (answer.outcome != HttpOutcome::answered) return answer.error;
  const bool good =
      call.status == 0 ? answer.status >= 200 && answer.status < 300 : answer.status == call.status;
  if (!good) {
    return "status " + std::to_string(answer.status) + ", expected " +
           (call.status == 0 ? "2xx" : std::to_string(call.status));
  }
  if (answer.body.find(call.contains) == std::string::npos) {
    return "status " + std::to_string(answer.status) + ", but the answer does not hold '" +
           call.contains + "'";
  }
  return {};
}

}  // namespace selfheal
