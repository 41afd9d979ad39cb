#pragma once
// From the body of a request, or the input of a program, to records on the signals topic.
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "decision/shard/cut_planner.hpp"
#include "topics/json_codec.hpp"
#include "topics/log.hpp"
#include "topics/signal.hpp"

namespace selfheal {

struct RefusedLine {
  std::int64_t line = 0;  // from 1; 0: all of it
  std::string reason;
};

// Lines that are listed with their reasons; more are only counted.
constexpr std::size_t refused_listed_max = 1000;
void refuse_line(std::vector<RefusedLine>& listed, std::int64_t& more, RefusedLine line);

// A good line: its text as it came, and the service that it belongs to.
struct TakenLine {
  std::int64_t line = 0;
  std::string service;
  std::string text;
};

struct Intake {
  std::vector<TakenLine> taken;
  Headers headers;  // of every record
  std::vector<RefusedLine> refused;
  std::int64_t refused_more = 0;
};

// One JSON object, NDJSON of any length or one binary frame. `now_ms` is the time of signals
// without one, `event_time` that of a CloudEvent in binary mode. Pure, but for the buffers of
// `decode`.
Intake read_intake(std::string_view body, TimeMs now_ms, const DecodeSignals& decode,
                   const std::string& event_time = {});

// {"taken":n,"refused":[{"line","reason"}…]}, with "refused_more":n where not all are listed.
Json intake_json(std::int64_t taken, const std::vector<RefusedLine>& refused, std::int64_t more);

// What became of appending them; lines that the log did not take are in `refused`.
struct Stored {
  std::int64_t taken = 0;
  std::vector<RefusedLine> refused;  // those of the intake included
  std::int64_t refused_more = 0;
  std::string trouble;  // of the log; empty where it took everything
};

// Appends each line to the shard of its service. `done` is called once, when the log has answered
// for all of them: on a thread of the log, or at once.
void store_intake(Log& log, const std::string& topic, std::int32_t partitions, Intake intake,
                  std::function<void(Stored)> done);

}  // namespace selfheal
