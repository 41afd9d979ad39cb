#include "effects/action_files.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "topics/json_codec.hpp"

namespace selfheal {
namespace {

constexpr const char* lock_name = "lock";
constexpr const char* result_name = "result";
constexpr const char* started_name = "started";
// Far above what is written: a longer file is damage, and must not fill the memory.
constexpr std::size_t result_bytes_max = std::size_t{64} * 1024;
// Earlier builds read no longer one.
constexpr std::size_t fence_bytes_max = 64;
constexpr mode_t private_file = 0600;

Result<std::optional<StepResult>> read_result(const std::string& folder) {
  const Result<std::string> text = read_whole_file(folder + "/" + result_name, result_bytes_max);
  if (!text) {
    if (text.error().code == ErrorCode::not_found) return std::optional<StepResult>();
    return text.error();
  }
  Result<StepResult> result = from_json_text<StepResult>(*text);
  if (!result) return result.error().within("read " + folder + "/" + result_name);
  return std::optional<StepResult>(std::move(*result));
}

// The numbers of a fence's file; none where there is no file.
Result<std::vector<std::int64_t>> read_epochs(const std::string& path) {
  std::vector<std::int64_t> epochs;
  const Result<std::string> text = read_whole_file(path, fence_bytes_max);
  if (!text) {
    if (text.error().code == ErrorCode::not_found) return epochs;
    return text.error();
  }
  const char* at = text->data();
  const char* const end = at + text->size();
  while (true) {
    std::int64_t epoch = 0;
    const auto [stop, error] = std::from_chars(at, end, epoch);
    if (error != std::errc() || stop == at) break;
    epochs.push_back(epoch);
    at = stop < end ? stop + 1 : end;
  }
  // Taking it for 0 would let an earlier owner begin again.
  if (epochs.empty()) {
    return Error{ErrorCode::corrupt, path + " holds no number; nothing may begin on this shard"};
  }
  return epochs;
}

}  // namespace

std::string start_folder(const std::string& actions_folder, const StepOrder& order) {
  return actions_folder + "/" + order.action_id + "/" + std::to_string(order.step) +
         (order.rollback ? ".rollback." : ".") + std::to_string(order.attempt);
}

Result<void> check_order(const StepOrder& order) {
  if (!is_safe_name(order.action_id)) {
    return Error{ErrorCode::invalid,
                 "an action id is 1 to 128 of A-Z, a-z, 0-9, _ and -; nothing ran"};
  }
  if (order.step < 0 || order.attempt < 0 || order.shard < 0) {
    return Error{ErrorCode::invalid, "step, attempt and shard must not be negative; nothing ran"};
  }
  return {};
}

StepResult result_of(const StepOrder& order, const std::string& status, const std::string& output) {
  StepResult result;
  result.action_id = order.action_id;
  result.attempt = order.attempt;
  result.step = order.step;
  result.rollback = order.rollback;
  result.status = status;
  result.output = output;
  return result;
}

Result<ActionFiles> ActionFiles::open(const std::string& actions_folder, const StepOrder& order) {
  const Result<void> checked = check_order(order);
  if (!checked) return checked.error();
  ActionFiles files;
  files.folder_ = start_folder(actions_folder, order);
  const Result<void> created = create_private_folder(files.folder_);
  if (!created) return created.error();
  // Every folder on the way, even one that was there: its creator may have died before its sync.
  for (const std::string& parent : {actions_folder, actions_folder + "/" + order.action_id}) {
    const Result<void> synced = sync_folder(parent);
    if (!synced) return synced.error();
  }
  const std::string path = files.folder_ + "/" + lock_name;
  files.lock_.reset(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, private_file));
  if (!files.lock_.valid()) return system_error("open " + path);
  return files;
}

Result<bool> ActionFiles::try_lock() {
  while (flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return false;
    if (errno != EINTR) return system_error("lock " + folder_ + "/" + lock_name);
  }
  return true;
}

Result<std::optional<StepResult>> ActionFiles::result() const {
  return read_result(folder_);
}

bool ActionFiles::started() const {
  return exists(folder_ + "/" + started_name);
}

Result<void> ActionFiles::mark_started(TimeMs now_ms) {
  // Only for people who look into the folder; that the file exists is what counts.
  const Json mark = {{"pid", getpid()}, {"started", format_rfc3339(now_ms)}};
  return create_durably(folder_, started_name, dump(mark) + "\n");
}

Result<void> ActionFiles::write_result(const StepResult& result) {
  return replace_durably(folder_, result_name, to_json_text(result) + "\n");
}

TracedStep trace_files(const std::string& actions_folder, const StepOrder& order) {
  const std::string folder = start_folder(actions_folder, order);
  const auto finished = [&]() -> std::optional<TracedStep> {
    const Result<std::optional<StepResult>> result = read_result(folder);
    // A result that cannot be read proves that something ended, not how.
    if (!result) {
      return TracedStep{StepTrace::finished, result_of(order, "in_doubt", result.error().context)};
    }
    if (!result->has_value()) return std::nullopt;
    return TracedStep{StepTrace::finished, **result};
  };
  if (!check_order(order)) return {};
  // The result comes first: a daemon that the step left behind may hold the lock for ever.
  if (std::optional<TracedStep> done = finished()) return *done;
  const Descriptor lock(open((folder + "/" + lock_name).c_str(), O_RDONLY | O_CLOEXEC));
  if (lock.valid() && flock(lock.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    return {StepTrace::running, {}};
  }
  // It may have ended between the first look and the lock.
  if (std::optional<TracedStep> done = finished()) return *done;
  return {exists(folder + "/" + started_name) ? StepTrace::died : StepTrace::none, {}};
}

Result<Fence> Fence::lock(const std::string& actions_folder, std::int64_t shard) {
  Fence fence;
  fence.folder_ = actions_folder;
  fence.name_ = "fence-" + std::to_string(shard);
  const Result<void> created = create_private_folder(actions_folder);
  if (!created) return created.error();
  // A file of its own: the fence is replaced by renaming, which would leave the lock behind.
  const std::string path = actions_folder + "/" + fence.name_ + ".lock";
  fence.lock_.reset(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, private_file));
  if (!fence.lock_.valid()) return system_error("open " + path);
  while (flock(fence.lock_.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return system_error("lock " + path);
  }
  Result<std::vector<std::int64_t>> epochs = read_epochs(actions_folder + "/" + fence.name_);
  if (!epochs) return epochs.error();
  fence.owned_ = std::move(*epochs);
  if (fence.owned_.empty()) return fence;
  fence.epoch_ = fence.owned_.front();
  // A number alone is an earlier build's, whose last one was written by the owner of that epoch.
  if (fence.owned_.size() > 1) fence.owned_.erase(fence.owned_.begin());
  std::erase(fence.owned_, 0);
  return fence;
}

Result<void> Fence::write(std::int64_t epoch, const std::vector<std::int64_t>& owned) {
  std::string text = std::to_string(epoch);
  // No owner has epoch 0: else the number would be alone.
  if (owned.empty()) text += " 0";
  for (const std::int64_t each : owned) {
    const std::string word = " " + std::to_string(each);
    if (text.size() + word.size() >= fence_bytes_max) break;
    text += word;
  }
  const Result<void> written = replace_durably(folder_, name_, text + "\n");
  if (!written) return written.error().within("raise the fence");
  epoch_ = epoch;
  owned_ = owned;
  return {};
}

Result<void> Fence::raise(std::int64_t epoch) {
  if (epoch <= epoch_) return {};
  return write(epoch, owned_);
}

Result<void> Fence::own(std::int64_t epoch) {
  if (std::find(owned_.begin(), owned_.end(), epoch) != owned_.end()) return raise(epoch);
  std::vector<std::int64_t> owned = owned_;
  owned.insert(owned.begin(), epoch);
  return write(std::max(epoch, epoch_), owned);
}

}  // namespace selfheal
