#pragma once
// The client side of the API, for commands that talk to a running service.
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "topics/json_codec.hpp"

namespace selfheal {

struct ApiAnswer {
  int status = 0;
  std::string body;
  std::string incomplete;  // why it may lack what the service does not know yet; mostly empty

  // The `detail` of a problem, or its body.
  std::string problem() const;
};

class HttpClient {
 public:
  // `address`: "host:port" or "http://host:port". `token` may be empty; it is sent to that address
  // alone. Not thread-safe.
  HttpClient(const std::string& address, std::string token);

  // Fails with unavailable where nobody answers.
  Result<ApiAnswer> get(const std::string& path) const;
  Result<ApiAnswer> post(const std::string& path, const std::string& body,
                         const std::string& content_type = "application/json") const;
  // A JSON answer of status 2xx. not_found for 404, refused for the other 4xx, else unavailable.
  Result<Json> get_json(const std::string& path) const;
  // The same of an answer to get(path).
  static Result<Json> json_of(const ApiAnswer& answer, const std::string& path);

  const std::string& address() const { return address_; }

 private:
  std::string address_;
  std::string token_;
};

}  // namespace selfheal
