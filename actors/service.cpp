#include "actors/service.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "actors/root_supervisor_actor.hpp"

namespace selfheal {
namespace {

// How long the threads of actors that have been told to end may take; a step takes its own time.
constexpr std::chrono::seconds threads_end_within{3};

class ServiceConfig : public caf::actor_system_config {
 public:
  ServiceConfig() {
    // The default, stealing, starves shards when all are busy: see docs/architecture.md.
    set("scheduler.policy", caf::atom("sharing"));
  }
};

}  // namespace

struct Service::Parts {
  explicit Parts(EnvironmentPtr given)
      : environment(std::move(given)), system(config), board(std::make_shared<ShardBoard>()) {}
  // Those of our actors; the system has some of its own.
  std::size_t threads() {
    return system.detached_actors() - std::min(system.detached_actors(), system_threads);
  }
  EnvironmentPtr environment;
  ServiceConfig config;
  caf::actor_system system;
  std::size_t system_threads = system.detached_actors();
  std::shared_ptr<ShardBoard> board;
  root_supervisor_actor root;
};

Service::Service(EnvironmentPtr environment)
    : parts_(std::make_unique<Parts>(std::move(environment))) {}

Service::~Service() {
  if (!parts_) return;
  parts_->system.await_actors_before_shutdown(false);
  const auto until = std::chrono::steady_clock::now() + threads_end_within;
  while (parts_->threads() > 0 && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  if (parts_->threads() == 0) return;
  // The system's destructor would wait for the step, for as long as the step may take.
  spdlog::info("a step goes on without this process; the next one finds out how it ends");
  static_cast<void>(parts_.release());
}

void Service::start() {
  parts_->root = parts_->system.spawn(root_supervisor, parts_->environment, parts_->board);
  caf::anon_send(parts_->root, Start{});
}

bool Service::ready() const {
  return parts_->board->all_live(parts_->environment->partitions);
}

std::vector<ShardStatus> Service::shards() const {
  std::vector<ShardStatus> list;
  for (const auto& [shard, state] : parts_->board->states()) {
    list.push_back({shard, state.state, state.reason});
  }
  return list;
}

void Service::activate(const std::string& settings) {
  caf::anon_send(parts_->root, NewSettings{settings});
}

void Service::stop() {
  if (!parts_->root) return;
  caf::scoped_actor self(parts_->system);
  self->request(parts_->root, std::chrono::seconds(10), Stop{})
      .receive([](const Stop&) {},
               [](const caf::error&) { spdlog::warn("the shards did not stop in time"); });
  parts_->root = nullptr;
}

}  // namespace selfheal
