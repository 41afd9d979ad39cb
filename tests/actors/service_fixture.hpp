#pragma once
// A whole service in this process, with its state in memory and its log of the test's choice.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "actors/service.hpp"
#include "base/signature.hpp"
#include "topics/signal_decoder.hpp"

namespace selfheal {

inline TimeMs wall_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

inline bool await(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

class ServiceTest : public testing::Test {
 protected:
  void SetUp() override {
    folder = std::filesystem::temp_directory_path() / ("service-" + std::to_string(getpid()));
    std::filesystem::create_directories(folder / "actions");
    environment = std::make_shared<Environment>();
    environment->topics = topic_names("t", 1);
    environment->topics_prefix = "t";
    environment->store = std::make_shared<MemoryPageStore>();
    environment->read_model = std::make_shared<ReadModel>(environment->store);
    environment->metrics = std::make_shared<Metrics>();
    const SigningKey key = generate_signing_key();
    environment->journal_public_key = key.public_hex;
    environment->journal_secret_key = key.secret_hex;
    environment->instance = "one";
    environment->actions_folder = folder / "actions";
    // What shards say to each other needs a key that is believed.
    settings.keys.push_back({"journal", "shard", key.public_hex});
    environment->forward_key_id = "journal";
    environment->settings = settings_text(settings);
    environment->now_ms = wall_ms;
    environment->make_decoder = [] {
      auto decoder = std::make_shared<SignalDecoder>();
      return [decoder](const RecordView& record, SignalBatch& batch) {
        decoder->decode(record, batch);
      };
    };
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  bool shows(const std::string& text) const {
    return environment->metrics->render(wall_ms()).find("\n" + text) != std::string::npos;
  }

  std::filesystem::path folder;
  Settings settings;
  std::shared_ptr<Environment> environment;
};

}  // namespace selfheal
