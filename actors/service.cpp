#include "actors/service.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <thread>

#include "actors/root_supervisor_actor.hpp"

namespace selfheal {
namespace {

class ServiceConfig : public caf::actor_system_config {
 public:
  ServiceConfig() {
    // The default, stealing, starves shards when all are busy: see docs/architecture.md.
    set("scheduler.policy", caf::atom("sharing"));
    // One processor is left to the threads of the bus. On two, a second worker would be woken for
    // every message between actors and mostly find it taken.
    const std::size_t processors = std::thread::hardware_concurrency();
    set("scheduler.max-threads", std::max<std::size_t>(processors, 2) - 1);
  }
};

}  // namespace

struct Service::Parts {
  explicit Parts(EnvironmentPtr given)
      : environment(std::move(given)), system(config), board(std::make_shared<ShardBoard>()) {}
  EnvironmentPtr environment;
  ServiceConfig config;
  caf::actor_system system;
  std::shared_ptr<ShardBoard> board;
  root_supervisor_actor root;
  bool stopped = false;  // everything has been told to end
};

Service::Service(EnvironmentPtr environment)
    : parts_(std::make_unique<Parts>(std::move(environment))) {}

Service::~Service() {
  // A timer that an actor sets while the system shuts down keeps that actor, and its thread, for
  // good: so those that end are waited for first. Where the stop failed some may never end.
  if (parts_) parts_->system.await_actors_before_shutdown(parts_->stopped);
}

void Service::start() {
  parts_->root = parts_->system.spawn(root_supervisor, parts_->environment, parts_->board);
  caf::anon_send(parts_->root, Start{});
}

bool Service::ready() const {
  return parts_->board->all_in_place(parts_->environment->shards());
}

std::vector<ShardStatus> Service::shards() const {
  std::vector<ShardStatus> list;
  for (const auto& [shard, place] : parts_->board->places()) {
    list.push_back({shard, place.state.state, place.state.reason, place.owner, place.owner_until_ms,
                    place.snapshot_ms, place.unsaved});
    // Who is alone on its bus tells nobody, and owns what it decides.
    if (parts_->environment->alone && place.state.state == "live") {
      list.back().owner = parts_->environment->instance;
    }
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
      .receive([this](const Stop&) { parts_->stopped = true; },
               [](const caf::error&) { spdlog::warn("the shards did not stop in time"); });
  parts_->root = nullptr;
}

}  // namespace selfheal
