#include "cli/demo_teller.hpp"

#include <fmt/format.h>

namespace selfheal {
namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

std::string decimals(double value, int digits) {
  return fmt::format("{:.{}f}", value, digits);
}

DemoTeller::DemoTeller(std::ostream& stream) : stream_(stream) {
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGINT);
  sigaddset(&signals_, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
}

double DemoTeller::seconds() const {
  return std::chrono::duration<double>(Clock::now() - began_).count();
}

void DemoTeller::title(const std::string& text) {
  stream_ << "\n" << text << std::endl;
}

void DemoTeller::say(const std::string& text) {
  stream_ << fmt::format("  {:5.1f} s          {}", seconds(), text) << std::endl;
}

void DemoTeller::detail(const std::string& text) {
  stream_ << "                     " << text << std::endl;
}

bool DemoTeller::check(bool holds, const std::string& text) {
  if (!holds) ++failures_;
  stream_ << fmt::format("  {:5.1f} s  {:6}  {}", seconds(), holds ? "ok" : "FAILED", text)
          << std::endl;
  return holds;
}

void DemoTeller::pause() {
  constexpr timespec look_pause{0, 50'000'000};
  if (sigtimedwait(&signals_, nullptr, &look_pause) <= 0) return;
  interrupted_ = true;
  say("interrupted: ending everything that was started");
}

bool DemoTeller::wait_until(std::chrono::milliseconds limit, const std::function<bool()>& holds) {
  const auto until = Clock::now() + limit;
  while (!interrupted_) {
    if (holds()) return true;
    if (Clock::now() > until) return false;
    pause();
  }
  return false;
}

bool DemoTeller::await(std::chrono::milliseconds limit, const std::string& text,
                       const std::function<bool()>& holds) {
  return check(wait_until(limit, holds), text);
}

bool DemoTeller::holds_for(std::chrono::milliseconds time, const std::string& text,
                           const std::function<bool()>& holds) {
  const bool broken = wait_until(time, [&] { return !holds(); });
  return check(!broken && !interrupted_, text);
}

}  // namespace selfheal
