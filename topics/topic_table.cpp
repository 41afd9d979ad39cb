#include "topics/topic_table.hpp"

namespace selfheal {

TopicNames topic_names(const std::string& prefix, std::int64_t partitions) {
  return {prefix + ".signals",
          prefix + ".control",
          prefix + ".journal",
          prefix + ".snapshots",
          prefix + ".decisions",
          prefix + ".deadletter",
          prefix + ".fleet.control",
          prefix + ".fleet.journal",
          prefix + ".presence",
          prefix + ".snapshots.latest",
          partitions};
}

TopicPartition TopicNames::journal_of(std::int64_t shard) const {
  if (is_fleet(shard)) return {fleet_journal, 0};
  return {journal, static_cast<std::int32_t>(shard)};
}

TopicPartition TopicNames::control_of(std::int64_t shard) const {
  if (is_fleet(shard)) return {fleet_control, 0};
  return {control, static_cast<std::int32_t>(shard)};
}

std::int32_t TopicNames::partition_of(std::int64_t shard) const {
  return is_fleet(shard) ? 0 : static_cast<std::int32_t>(shard);
}

std::vector<TopicSpec> topic_specs(const std::string& prefix, std::int32_t partitions) {
  const TopicNames names = topic_names(prefix);
  constexpr std::int64_t week_ms = 7 * one_day_ms;
  constexpr std::int64_t year_ms = 365 * one_day_ms;
  const TopicSpec plain{.name = {}, .partitions = partitions, .retention_ms = week_ms};
  const auto named = [](TopicSpec spec, const std::string& name) {
    spec.name = name;
    return spec;
  };
  TopicSpec journal = plain;
  journal.log_append_time = true;
  journal.flush_each_message = true;
  journal.retention_ms = year_ms;
  TopicSpec fleet_journal = journal;
  fleet_journal.partitions = 1;
  // Only the last seconds are ever read.
  TopicSpec presence = plain;
  presence.partitions = 1;
  presence.log_append_time = true;
  presence.retention_ms = one_hour_ms;
  // A little longer than the inputs, so that each input kept can be decided again from one.
  TopicSpec snapshots = plain;
  snapshots.retention_ms = week_ms + one_day_ms;
  TopicSpec pointers = plain;
  pointers.compacted = true;
  TopicSpec fleet_control = plain;
  fleet_control.partitions = 1;
  TopicSpec long_kept = plain;
  long_kept.retention_ms = year_ms;
  return {named(plain, names.signals),
          named(plain, names.control),
          named(journal, names.journal),
          named(snapshots, names.snapshots),
          named(plain, names.decisions),
          named(long_kept, names.deadletter),
          named(fleet_control, names.fleet_control),
          named(fleet_journal, names.fleet_journal),
          named(presence, names.presence),
          named(pointers, names.snapshot_pointers)};
}

}  // namespace selfheal
