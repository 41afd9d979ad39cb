#pragma once
// Who may ask for what. Thread-safe.
#include <optional>
#include <string>
#include <string_view>

#include "api/routes.hpp"

namespace selfheal {

// "127.0.0.1:8000", "[::1]:8000", "localhost": addresses that other machines cannot reach.
bool is_loopback(std::string_view host_and_port);

// The key whose token the request bears. None where it bears none or an unknown one. Takes the same
// time whichever key it is.
std::optional<PublicKey> key_of_token(const std::string& keys_dir, const ApiRequest& request);

// Whether the request comes from a program that needs no confirmation. It needs a token all the
// same.
bool is_trusted_automation(const TrustedAutomation& trusted, const ApiRequest& request);

// Whether a page of another site made a browser send it. A browser on this machine reaches a
// loopback listener, and pages of strangers run in it.
bool is_cross_site(const ApiContext& context, const ApiRequest& request);

// What to answer instead, where the request may not pass. Sets the request's key.
std::optional<ApiResponse> refuse_access(const ApiContext& context, const Route& route,
                                         ApiRequest& request);

// Roles that may answer a held proposal.
bool may_approve(std::string_view role);

}  // namespace selfheal
