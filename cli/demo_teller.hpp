#pragma once
// Tells the demonstration's story line by line, checks that it is true, and waits for conditions.
// Not thread-safe.
#include <signal.h>

#include <chrono>
#include <functional>
#include <iostream>
#include <string>

namespace selfheal {

class DemoTeller {
 public:
  // Blocks SIGINT and SIGTERM in this thread and those it starts; waits end early when one comes.
  explicit DemoTeller(std::ostream& stream);

  void title(const std::string& text);
  void say(const std::string& text);
  void detail(const std::string& text);  // part of what was just said
  // Says whether it holds; what does not hold is remembered.
  bool check(bool holds, const std::string& text);

  bool wait_until(std::chrono::milliseconds limit, const std::function<bool()>& holds);
  // wait_until, as a check.
  bool await(std::chrono::milliseconds limit, const std::string& text,
             const std::function<bool()>& holds);
  // A check that it holds all the time.
  bool holds_for(std::chrono::milliseconds time, const std::string& text,
                 const std::function<bool()>& holds);

  bool interrupted() const { return interrupted_; }
  int failures() const { return failures_; }
  double seconds() const;  // since it began

 private:
  void pause();

  std::ostream& stream_;
  sigset_t signals_;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  bool interrupted_ = false;
  int failures_ = 0;
};

// "0.85", for people.
std::string decimals(double value, int digits);

}  // namespace selfheal
