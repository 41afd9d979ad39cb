#pragma once
// Assembles cuts: what to take at once, and in which numbers it is recorded. Pure; whoever owns the
// readers polls them with the limits given here. The same class re-assembles recorded cuts.
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "decision/token.hpp"
#include "topics/signal_pool.hpp"

namespace selfheal {

// How a record becomes signals; given, because decisions know no wire format.
using DecodeSignals = std::function<void(const RecordView&, SignalBatch&)>;

struct CutLimits {
  std::size_t records_max = 2000;
  // What is decided on it should fit one record of the journal.
  std::size_t bytes_max = std::size_t{256} * 1024;
  std::size_t controls_max = 200;
  std::size_t inputs_max = 50;  // embedded; each may carry 2 KiB of output
};

// What is at hand for the next cut.
struct CutSupply {
  RecordBatch signals;
  RecordBatch control;
  std::vector<EmbeddedInput> inputs;
  TimeMs now_ms = 0;  // of the owner's clock
  bool signals_at_end = false;
  bool control_at_end = false;
  // Input appended until then is in this supply or has been taken before; 0: nobody has asked.
  TimeMs taken_through_ms = 0;
};

// What a SKIP leaves out: one record, and where it is.
struct PoisonSkip {
  Cut cut;
  std::string topic_kind;  // signals or control
};

class CutPlanner {
 public:
  // Planners may share the pool from which their cuts take memory.
  explicit CutPlanner(DecodeSignals decode,
                      std::shared_ptr<SignalBatchPool> pool = SignalBatchPool::make());

  // What may be polled for the next cut of this chain: less than usual after a cut that failed.
  static CutLimits limits_for(const Chain& chain, const CutLimits& usual);

  // An owner's clock held to the log's on both sides: one that is hours ahead must not expire
  // everything, one that is hours behind must not keep every timer of the chain from firing.
  static TimeMs tick_held_to(TimeMs own_ms, TimeMs log_ms);

  // The one record at the chain's next offset has killed its shard twice: it is to be skipped.
  static bool is_poisoned(const Chain& chain);
  // Skips that record, which was polled within limits_for().
  static PoisonSkip skip_of(const Chain& chain, const CutSupply& supply);

  // The token of the next cut. Takes everything in the supply; the tick is the owner's clock, never
  // before the chain's.
  Token plan(const Chain& chain, CutSupply supply) const;

  // The two halves of plan(): the cut, which takes the supply's embedded inputs and cannot fail;
  // then its records decoded, where a record may break the decoder.
  static Token outline(const Chain& chain, CutSupply& supply);
  void fill(Token& token, const CutSupply& supply) const;

  // What a cut says of each trouble is many times the signal. Where the supply holds more of them
  // than fit a record of the journal, leaves in it what fits (one record at least) and returns the
  // rest, for the cuts that follow.
  static std::optional<CutSupply> split(const SignalBatch& decoded, CutSupply& supply);

  // The token of a recorded cut, from its records as read again. `corrupt` where their digest is
  // not the recorded one: the inputs are not those that were decided on.
  Result<Token> recall(const Chain& before, const Cut& cut, CutSupply supply) const;

 private:
  DecodeSignals decode_;
  std::shared_ptr<SignalBatchPool> pool_;
};

// Over the value bytes of the records, in order, control after signals.
std::uint64_t digest_inputs(const RecordBatch& signals, const RecordBatch& control);

}  // namespace selfheal
