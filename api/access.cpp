#include "api/access.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include "base/hash.hpp"

namespace selfheal {
namespace {

std::string_view host_of(std::string_view host_and_port) {
  if (host_and_port.starts_with('[')) {
    return host_and_port.substr(1, host_and_port.find(']') - 1);
  }
  // More than one colon and no brackets: an IPv6 address without a port.
  const std::size_t colon = host_and_port.find(':');
  if (colon != host_and_port.rfind(':')) return host_and_port;
  return host_and_port.substr(0, colon);
}

// An address and no name, which may begin like one ("127.0.0.1.example").
bool is_loopback_ipv4(std::string_view host) {
  std::array<unsigned char, sizeof(in_addr)> address{};
  // Which reads up to a zero byte.
  if (host.find('\0') != std::string_view::npos) return false;
  return inet_pton(AF_INET, std::string(host).c_str(), address.data()) == 1 && address[0] == 127;
}

ApiResponse needs_token() {
  ApiResponse response =
      problem(401, "TOKEN_REQUIRED", "send Authorization: Bearer TOKEN with the token of a key");
  response.headers.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

}  // namespace

bool is_loopback(std::string_view host_and_port) {
  const std::string_view host = host_of(host_and_port);
  return host == "localhost" || host == "::1" || is_loopback_ipv4(host);
}

std::optional<PublicKey> key_of_token(const std::string& keys_dir, const ApiRequest& request) {
  constexpr std::string_view scheme = "Bearer ";
  const std::string header = request.header("authorization");
  if (header.size() <= scheme.size() || !header.starts_with(scheme)) return std::nullopt;
  const std::string hash = to_hex(sha256(std::string_view(header).substr(scheme.size())));
  const Result<std::vector<PublicKey>> keys = list_keys(keys_dir);
  if (!keys) return std::nullopt;
  std::optional<PublicKey> found;
  for (const PublicKey& key : *keys) {
    if (constant_time_equal(key.token_sha256, hash)) found = key;
  }
  return found;
}

bool is_trusted_automation(const TrustedAutomation& trusted, const ApiRequest& request) {
  const std::string model = request.header("x-gpt-id");
  if (std::ranges::find(trusted.models, model) != trusted.models.end()) return true;
  if (trusted.secret_sha256.empty()) return false;
  return std::ranges::any_of(trusted.headers, [&](const std::string& name) {
    // Hashes are compared, so that the time taken says nothing about the secret or its length.
    return constant_time_equal(trusted.secret_sha256, to_hex(sha256(request.header(name))));
  });
}

bool is_cross_site(const ApiContext& context, const ApiRequest& request) {
  const std::string host = request.header("host");
  // A stranger's name that resolves to this machine.
  if (context.loopback && !host.empty() && !is_loopback(host)) return true;
  const std::string origin = request.header("origin");
  if (origin.empty()) return false;
  return origin != "http://" + host && origin != "https://" + host;
}

bool may_approve(std::string_view role) {
  return role == "operator" || role == "admin";
}

std::optional<ApiResponse> refuse_access(const ApiContext& context, const Route& route,
                                         ApiRequest& request) {
  if (route.access == Access::open) return std::nullopt;
  if (is_cross_site(context, request)) {
    return problem(403, "CROSS_SITE", "requests from pages of other sites are not taken");
  }
  // Before the token, so that a caller learns first what the call lacks for everybody.
  const bool confirmed = request.header("x-confirmed") == "yes" ||
                         is_trusted_automation(context.options.automation, request);
  if (route.access == Access::change && !confirmed) {
    return problem(403, "CONFIRMATION_REQUIRED", "this changes something: send x-confirmed: yes");
  }
  request.key = key_of_token(context.options.keys_dir, request);
  if (route.access == Access::change) {
    if (!request.key) return needs_token();
    if (!may_approve(request.key->role)) {
      return problem(403, "ROLE_REQUIRED", "needs the token of a key with role operator or admin");
    }
    return std::nullopt;
  }
  const bool free = context.loopback || route.access == Access::signer;
  if (!free && !request.key) return needs_token();
  return std::nullopt;
}

}  // namespace selfheal
