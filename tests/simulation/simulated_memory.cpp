// Memory for selfheal_simulate, linked into it in the place of the C library's for what is small: a
// schedule allocates some hundred thousand short texts and frees nearly all of them again, which is
// a sixth of what it costs. Each thread keeps lists of free blocks by size and gives nothing back.
//
// All blocks lie in one reserved range of addresses, in pieces that hold one size each, so that a
// block's address alone says where it belongs.
#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace {

constexpr std::size_t step = 16;  // sizes are multiples of this
constexpr std::size_t block_bytes_max = 1024;
constexpr std::size_t piece_bytes = 256 << 10;
constexpr std::size_t range_bytes = std::size_t{32} << 30;  // of addresses; memory as it is used

struct Block {
  Block* next;
};

char* reserve_range() {
  // Before the first constructor runs there may be a first allocation.
  static char* const begin = [] {
    void* range = mmap(nullptr, range_bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return range == MAP_FAILED ? nullptr : static_cast<char*>(range);
  }();
  return begin;
}

std::atomic<char*> range_begin{nullptr};
std::atomic<std::size_t> pieces_taken{0};
std::array<std::uint8_t, range_bytes / piece_bytes> class_of_piece;

struct ThreadMemory {
  std::array<Block*, block_bytes_max / step + 1> free;
  std::array<char*, block_bytes_max / step + 1> fresh;
  std::array<char*, block_bytes_max / step + 1> fresh_end;
};
thread_local constinit ThreadMemory memory{};

// A new piece for one size; null where the range is used up.
void* from_new_piece(std::size_t size_class) {
  char* begin = range_begin.load(std::memory_order_relaxed);
  if (begin == nullptr) {
    begin = reserve_range();
    range_begin.store(begin, std::memory_order_relaxed);
  }
  const std::size_t piece = pieces_taken++;
  if (begin == nullptr || piece >= class_of_piece.size()) return nullptr;
  class_of_piece[piece] = static_cast<std::uint8_t>(size_class);
  char* const block = begin + piece * piece_bytes;
  memory.fresh[size_class] = block + size_class * step;
  memory.fresh_end[size_class] = block + piece_bytes;
  return block;
}

void* take(std::size_t bytes) {
  if (bytes <= block_bytes_max) {
    const std::size_t size_class = bytes == 0 ? 1 : (bytes + step - 1) / step;
    if (Block* const block = memory.free[size_class]; block != nullptr) {
      memory.free[size_class] = block->next;
      return block;
    }
    char*& fresh = memory.fresh[size_class];
    const auto left = static_cast<std::size_t>(memory.fresh_end[size_class] - fresh);
    if (left >= size_class * step) {
      char* const block = fresh;
      fresh += size_class * step;
      return block;
    }
    if (void* const block = from_new_piece(size_class); block != nullptr) return block;
  }
  void* const block = std::malloc(bytes);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

void give(void* pointer) noexcept {
  char* const begin = range_begin.load(std::memory_order_relaxed);
  const auto place = static_cast<std::size_t>(static_cast<char*>(pointer) - begin);
  if (begin == nullptr || pointer < begin || place >= range_bytes) return std::free(pointer);
  const std::size_t size_class = class_of_piece[place / piece_bytes];
  auto* const block = static_cast<Block*>(pointer);
  block->next = memory.free[size_class];
  memory.free[size_class] = block;
}

}  // namespace

void* operator new(std::size_t bytes) {
  return take(bytes);
}
void* operator new[](std::size_t bytes) {
  return take(bytes);
}
void operator delete(void* pointer) noexcept {
  give(pointer);
}
void operator delete[](void* pointer) noexcept {
  give(pointer);
}
void operator delete(void* pointer, std::size_t) noexcept {
  give(pointer);
}
void operator delete[](void* pointer, std::size_t) noexcept {
  give(pointer);
}
