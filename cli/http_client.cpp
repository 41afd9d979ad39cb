#include "cli/http_client.hpp"

#include <httplib.h>

#include "api/api.hpp"

namespace selfheal {
namespace {

// Longer than the service's own limits, so that it is the one to say what was wrong.
constexpr int connect_seconds = 3;
constexpr int answer_seconds = 20;

Error error_of(const ApiAnswer& answer, const std::string& path) {
  const std::string text = path + ": " + answer.problem();
  if (answer.status == 404) return {ErrorCode::not_found, text};
  if (answer.status >= 400 && answer.status < 500) return {ErrorCode::refused, text};
  return {ErrorCode::unavailable, text};
}

Result<ApiAnswer> answer_of(const httplib::Result& answer, const std::string& address) {
  if (!answer) {
    return Error{ErrorCode::unavailable, address + " does not answer (" +
                                             httplib::to_string(answer.error()) +
                                             "); is the service running there?"};
  }
  return ApiAnswer{answer->status, answer->body, answer->get_header_value(incomplete_header)};
}

}  // namespace

std::string ApiAnswer::problem() const {
  const Result<Json> json = parse_json(body);
  if (json && json->is_object() && json->contains("detail")) return json->value("detail", "");
  return "status " + std::to_string(status) + " " + body.substr(0, 200);
}

HttpClient::HttpClient(const std::string& address, std::string token)
    : address_(address.find("://") == std::string::npos ? "http://" + address : address),
      token_(std::move(token)) {
  // A listener on every address is reached by this one.
  const std::string everywhere = "http://0.0.0.0:";
  if (address_.starts_with(everywhere)) {
    address_ = "http://127.0.0.1:" + address_.substr(everywhere.size());
  }
  while (address_.ends_with('/')) address_.pop_back();
}

Result<ApiAnswer> HttpClient::get(const std::string& path) const {
  httplib::Client client(address_);
  client.set_connection_timeout(connect_seconds);
  client.set_read_timeout(answer_seconds);
  if (!token_.empty()) client.set_bearer_token_auth(token_);
  return answer_of(client.Get(path), address_);
}

Result<ApiAnswer> HttpClient::post(const std::string& path, const std::string& body,
                                   const std::string& content_type) const {
  httplib::Client client(address_);
  client.set_connection_timeout(connect_seconds);
  client.set_read_timeout(answer_seconds);
  if (!token_.empty()) client.set_bearer_token_auth(token_);
  return answer_of(client.Post(path, body, content_type), address_);
}

Result<Json> HttpClient::json_of(const ApiAnswer& answer, const std::string& path) {
  if (answer.status >= 300) return error_of(answer, path);
  Result<Json> json = parse_json(answer.body);
  if (!json) return Error{ErrorCode::unavailable, path + ": the answer is not JSON"};
  return json;
}

Result<Json> HttpClient::get_json(const std::string& path) const {
  const Result<ApiAnswer> answer = get(path);
  if (!answer) return answer.error();
  return json_of(*answer, path);
}

}  // namespace selfheal
