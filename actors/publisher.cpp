#include "actors/publisher.hpp"

#include <chrono>
#include <future>

#include "topics/routing.hpp"

namespace selfheal {
namespace {

PublishEnd refused(const Error& error) {
  return {PublishEnd::Kind::refused, error.context + "; nothing was published"};
}

Result<std::int32_t> partitions_of(const Environment& environment, const std::string& topic) {
  Result<std::int32_t> partitions = environment.log->partitions(topic);
  const bool is_missing = !partitions && partitions.error().code == ErrorCode::not_found;
  if (!is_missing || !environment.alone) return partitions;
  const Result<void> made = environment.log->create_topics({{.name = topic}});
  if (!made) return made.error();
  return 1;
}

}  // namespace

PublishEnd publish_record(const Environment& environment, const PublishCall& record,
                          const std::string& idempotency_key, DurationMs limit_ms) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(limit_ms);
  // Checked with the playbook as well; a playbook that came by the journal met another prefix.
  const Result<void> ours = check_publish_topic(record, environment.topics_prefix);
  if (!ours) return refused(ours.error());
  NewRecord made{.key = record.key, .value = record.value, .headers = {}};
  for (const auto& [name, value] : record.headers) made.headers.emplace_back(name, value);
  made.headers.emplace_back("Idempotency-Key", idempotency_key);
  const Result<void> fits = check_record(made);
  if (!fits) return refused(fits.error());
  const Result<std::int32_t> partitions = partitions_of(environment, record.topic);
  if (!partitions) return refused(partitions.error());
  const TopicPartition where{record.topic, shard_of(record.key, *partitions)};
  // Shared with the log, which may answer after this function has given up.
  const auto answered = std::make_shared<std::promise<Result<Offset>>>();
  std::future<Result<Offset>> answer = answered->get_future();
  environment.log->append(where, std::move(made), [answered](Result<Offset> offset) {
    answered->set_value(std::move(offset));
  });
  const std::string place = where.topic + "/" + std::to_string(where.partition);
  if (answer.wait_until(deadline) != std::future_status::ready) {
    return {PublishEnd::Kind::unknown, place + ": the bus has not said whether it is stored"};
  }
  const Result<Offset> offset = answer.get();
  if (!offset) {
    return {PublishEnd::Kind::unknown,
            place + ": not known to be stored: " + offset.error().context};
  }
  const std::string at = *offset >= 0 ? " at offset " + std::to_string(*offset) : std::string();
  return {PublishEnd::Kind::stored, "stored in " + place + at};
}

}  // namespace selfheal
