#include "api/signal_intake.hpp"

#include <algorithm>
#include <memory>
#include <mutex>

#include "topics/frame_codec.hpp"
#include "topics/routing.hpp"
#include "topics/signal_check.hpp"
#include "topics/signal_encoder.hpp"

namespace selfheal {
namespace {

// Well below what a record holds, so that one long line more still fits.
constexpr std::size_t piece_bytes = record_bytes_max / 2;
constexpr std::size_t piece_lines_max = signal_limits::signals_max / 2;

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blanks = " \t\r\n";
  const std::size_t first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

// A signal keeps the bytes it came in: members that this version does not know stay with it.
void take(const SignalBatch& batch, std::string_view piece, std::int64_t first_line,
          Intake& intake) {
  const bool framed = piece.starts_with(frame_magic);
  const std::vector<std::string_view> lines =
      framed ? std::vector<std::string_view>() : lines_of(piece);
  // One object laid out over several lines is one signal; its text is all of them.
  const bool alone = batch.signals.size() == 1 && batch.failures.empty();
  for (const Signal& signal : batch.signals) {
    std::string text;
    if (framed) {
      text = signal_to_json(signal);
    } else if (alone || signal.line >= lines.size()) {
      text = trimmed(piece);
    } else {
      text = trimmed(lines[signal.line]);
    }
    const std::int64_t line = first_line + static_cast<std::int64_t>(signal.line);
    intake.taken.push_back({line, std::string(signal.service), std::move(text)});
  }
  for (const DecodeFailure& failure : batch.failures) {
    // A single line fails as a whole; it is a line all the same.
    const std::int64_t whole = framed ? 0 : first_line;
    refuse_line(intake.refused, intake.refused_more,
                {failure.line < 0 ? whole : first_line + failure.line, failure.reason});
  }
}

void decode_piece(std::string_view piece, std::int64_t first_line, TimeMs now_ms,
                  const DecodeSignals& decode, Intake& intake) {
  SignalBatch batch;
  decode({.offset = 0,
          .append_time_ms = now_ms,
          .key = {},
          .value = piece,
          .event_time = event_time_of(intake.headers)},
         batch);
  take(batch, piece, first_line, intake);
}

struct Storing {
  std::mutex mutex;
  std::size_t open = 0;
  Stored stored;
  std::function<void(Stored)> done;
};

void settle(const std::shared_ptr<Storing>& storing, std::int64_t line,
            const Result<Offset>& offset) {
  std::function<void(Stored)> done;
  {
    const std::lock_guard lock(storing->mutex);
    if (offset) {
      ++storing->stored.taken;
    } else {
      refuse_line(storing->stored.refused, storing->stored.refused_more,
                  {line, "not_stored: " + offset.error().context});
      storing->stored.trouble = offset.error().context;
    }
    if (--storing->open > 0) return;
    done.swap(storing->done);
  }
  std::ranges::stable_sort(storing->stored.refused, {}, &RefusedLine::line);
  done(std::move(storing->stored));
}

}  // namespace

Intake read_intake(std::string_view body, TimeMs now_ms, const DecodeSignals& decode,
                   const std::string& event_time) {
  Intake intake;
  if (!event_time.empty()) {
    intake.headers.emplace_back("ce_specversion", "1.0");
    intake.headers.emplace_back(event_time_header, event_time);
  }
  const bool short_enough =
      body.size() <= piece_bytes &&
      static_cast<std::size_t>(std::ranges::count(body, '\n')) < piece_lines_max;
  if (short_enough || body.starts_with(frame_magic)) {
    decode_piece(body, 1, now_ms, decode, intake);
    return intake;
  }
  std::int64_t first_line = 1;
  while (!body.empty()) {
    std::size_t end = 0;
    std::size_t lines = 0;
    // At least one line, however long: the decoder says so where it is too long.
    while (end < body.size() && lines < piece_lines_max && (end == 0 || end < piece_bytes)) {
      end = std::min(body.find('\n', end), body.size() - 1) + 1;
      ++lines;
    }
    const std::string_view piece = body.substr(0, end);
    if (!trimmed(piece).empty()) decode_piece(piece, first_line, now_ms, decode, intake);
    body.remove_prefix(end);
    first_line += static_cast<std::int64_t>(lines);
  }
  return intake;
}

void refuse_line(std::vector<RefusedLine>& listed, std::int64_t& more, RefusedLine line) {
  if (listed.size() < refused_listed_max) return listed.push_back(std::move(line));
  ++more;
}

Json intake_json(std::int64_t taken, const std::vector<RefusedLine>& refused, std::int64_t more) {
  Json list = Json::array();
  for (const RefusedLine& each : refused) {
    list.push_back(Json{{"line", each.line}, {"reason", each.reason}});
  }
  Json answer{{"taken", taken}, {"refused", std::move(list)}};
  if (more > 0) answer["refused_more"] = more;
  return answer;
}

void store_intake(Log& log, const std::string& topic, std::int32_t partitions, Intake intake,
                  std::function<void(Stored)> done) {
  auto storing = std::make_shared<Storing>();
  storing->stored.refused = std::move(intake.refused);
  storing->stored.refused_more = intake.refused_more;
  storing->done = std::move(done);
  // One more than there are lines: the answer must not come before all were appended.
  storing->open = intake.taken.size() + 1;
  for (TakenLine& line : intake.taken) {
    const TopicPartition where{topic, shard_of(line.service, partitions)};
    const std::int64_t number = line.line;
    log.append(where, {line.service, std::move(line.text), intake.headers},
               [storing, number](Result<Offset> offset) { settle(storing, number, offset); });
  }
  std::function<void(Stored)> last;
  {
    const std::lock_guard lock(storing->mutex);
    if (--storing->open > 0) return;
    last.swap(storing->done);
  }
  std::ranges::stable_sort(storing->stored.refused, {}, &RefusedLine::line);
  last(std::move(storing->stored));
}

}  // namespace selfheal
