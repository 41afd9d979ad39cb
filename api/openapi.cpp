// The description of the API, made from the table of routes.
#include "api/routes.hpp"

namespace selfheal {
namespace {

Json problem_answer(const std::string& when) {
  return {
      {"description", when},
      {"content",
       {{"application/problem+json", {{"schema", {{"$ref", "#/components/schemas/Problem"}}}}}}}};
}

Json answers_of(const Route& route) {
  Json answers;
  const bool post = std::string_view(route.method) == "POST";
  answers[post ? "202" : "200"] = {{"description", post ? "on the bus" : "as asked for"}};
  if (post) {
    answers["400"] = problem_answer("nothing in the body can be taken");
    answers["413"] = problem_answer("the body is longer than 4 MiB");
    answers["503"] = problem_answer("the bus is away; nothing is known to be stored");
  }
  if (route.access != Access::open) {
    answers["401"] = problem_answer("no known token; reads on loopback need none");
    answers["403"] = problem_answer("not confirmed, not of that role, or from another site");
  }
  if (std::string_view(route.pattern).find("{id}") != std::string_view::npos) {
    answers["404"] = problem_answer("nothing has that id");
  }
  return answers;
}

Json operation_of(const Route& route) {
  Json operation{{"summary", route.summary}, {"responses", answers_of(route)}};
  Json parameters = Json::array();
  if (std::string_view(route.pattern).find("{id}") != std::string_view::npos) {
    parameters.push_back(
        {{"name", "id"}, {"in", "path"}, {"required", true}, {"schema", {{"type", "string"}}}});
  }
  for (const char* name : route.query) {
    parameters.push_back({{"name", name}, {"in", "query"}, {"schema", {{"type", "string"}}}});
  }
  if (route.access == Access::change) {
    parameters.push_back({{"name", "x-confirmed"},
                          {"in", "header"},
                          {"required", false},
                          {"description", "needed but from a trusted automation"},
                          {"schema", {{"const", "yes"}}}});
    operation["security"] = Json::array({Json{{"token", Json::array()}}});
  }
  if (!parameters.empty()) operation["parameters"] = std::move(parameters);
  if (std::string_view(route.method) == "POST") {
    operation["requestBody"] = {
        {"content", {{"application/json", {{"schema", {{"type", "object"}}}}}}}};
  }
  return operation;
}

std::string lower_case(std::string text) {
  for (char& each : text) each = static_cast<char>(std::tolower(static_cast<unsigned char>(each)));
  return text;
}

}  // namespace

std::string openapi_text() {
  Json paths = Json::object();
  for (const Route& route : routes()) {
    paths[route.pattern][lower_case(route.method)] = operation_of(route);
  }
  const Json text{{"type", "string"}};
  const Json problem_schema{{"type", "object"},
                            {"required", {"title", "status", "code"}},
                            {"properties",
                             {{"type", text},
                              {"title", text},
                              {"status", {{"type", "integer"}}},
                              {"detail", text},
                              {"code", text}}}};
  const Json document{
      {"openapi", "3.1.0"},
      {"info",
       {{"title", "selfheal"},
        {"version", "1"},
        {"description",
         "On a loopback address reads and signals need no token; elsewhere every call under /api "
         "and /webhooks needs one. Answering a proposal always needs a token with role operator or "
         "admin and x-confirmed: yes. Reads take after=SHARD:SEQ and then wait, at most 5 s, until "
         "that decision is visible."}}},
      {"paths", std::move(paths)},
      {"components",
       {{"schemas", {{"Problem", problem_schema}}},
        {"securitySchemes", {{"token", {{"type", "http"}, {"scheme", "bearer"}}}}}}}};
  return document.dump(2) + "\n";
}

}  // namespace selfheal
