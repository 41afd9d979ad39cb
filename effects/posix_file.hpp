#pragma once
// What the durable files need of the operating system: descriptors that close themselves, and
// writes that are on the disk once the call returns.
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace selfheal {

// Owns one file descriptor.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  ~Descriptor() { reset(); }

  int get() const { return number_; }
  bool valid() const { return number_ >= 0; }
  int release() {
    const int number = number_;
    number_ = -1;
    return number;
  }
  void reset(int number = -1);

 private:
  int number_ = -1;
};

// The last failed call as an error: what failed, and errno in words.
Error system_error(const std::string& what);

// Letters, digits, _ and -, 1 to 128 of them: can be part of a path without leaving its folder.
bool is_safe_name(std::string_view name);

// Creates the folder and its missing parents, for their owner only. An existing one is left alone.
Result<void> create_private_folder(const std::string& folder);

// Until this returns, a name created in the folder may be gone after a power cut.
Result<void> sync_folder(const std::string& folder);

bool exists(const std::string& path);

// A longer file is an error of code exhausted, a missing one of code not_found.
Result<std::string> read_whole_file(const std::string& path, std::size_t bytes_max);

Result<void> write_all(int descriptor, std::string_view bytes, const std::string& what);

// Either the old or the new content is there after a crash, never a part: written aside, synced,
// renamed, folder synced.
Result<void> replace_durably(const std::string& folder, const std::string& name,
                             std::string_view bytes);

// Created exclusively: an existing file is an error of code refused.
Result<void> create_durably(const std::string& folder, const std::string& name,
                            std::string_view bytes);

}  // namespace selfheal
