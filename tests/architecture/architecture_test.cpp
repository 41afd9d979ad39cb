// Keeps the folder table of docs/architecture.md true: who may include what, what decisions may not
// call, and how long files and lines may be.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

const fs::path root = SELFHEAL_SOURCE_DIR;
const std::vector<std::string> folders = {"base",    "topics", "decision", "storage", "config",
                                          "effects", "api",    "actors",   "cli"};

std::vector<fs::path> sources_in(const std::string& folder) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
    const std::string extension = entry.path().extension().string();
    if (extension == ".cpp" || extension == ".hpp") found.push_back(entry.path());
  }
  return found;
}

std::vector<std::string> lines_of(const fs::path& file) {
  std::ifstream stream(file);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::string place(const fs::path& file, std::size_t line) {
  return fs::relative(file, root).string() + ":" + std::to_string(line + 1);
}

// Every line of `folder` outside comments that matches, as places.
std::vector<std::string> matches(const std::string& folder, const std::string& pattern) {
  const std::regex regex(pattern);
  std::vector<std::string> found;
  for (const fs::path& file : sources_in(folder)) {
    const std::vector<std::string> lines = lines_of(file);
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const std::string code = lines[i].substr(0, lines[i].find("//"));
      if (std::regex_search(code, regex)) found.push_back(place(file, i));
    }
  }
  return found;
}

struct IncludeRule {
  std::string what;
  std::string pattern;
  std::vector<std::string> allowed;
};

TEST(Architecture, EachLibraryIsSeenByItsFolderOnly) {
  const std::vector<IncludeRule> rules = {
      {"CAF", "#include <caf/", {"actors"}},
      {"librdkafka", "#include <librdkafka/", {"topics"}},
      {"RocksDB", "#include <rocksdb/", {"storage"}},
      {"yaml-cpp", "#include <yaml-cpp/", {"config"}},
      {"Abseil", "#include <absl/", {"config"}},
      {"RESTinio", "#include <restinio/", {"api"}},
      {"prometheus-cpp", "#include <prometheus/", {"api"}},
      {"libsodium", "#include <sodium", {"base"}},
      {"simdjson", "#include <simdjson", {"topics"}},
  };
  for (const IncludeRule& rule : rules) {
    for (const std::string& folder : folders) {
      const bool allowed =
          std::find(rule.allowed.begin(), rule.allowed.end(), folder) != rule.allowed.end();
      if (allowed) continue;
      for (const std::string& where : matches(folder, rule.pattern)) {
        ADD_FAILURE() << where << ": " << rule.what << " belongs to " << rule.allowed[0] << "/";
      }
    }
  }
}

TEST(Architecture, FoldersIncludeOnlyWhatTheirRowAllows) {
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"base", "topics|decision|storage|config|effects|api|actors|cli"},
      {"topics", "decision|storage|config|effects|api|actors|cli"},
      {"decision", "storage|config|effects|api|actors|cli"},
      {"storage", "decision|config|effects|api|actors|cli"},
      {"config", "storage|effects|api|actors|cli"},
      {"effects", "storage|config|api|actors|cli"},
      {"api", "effects|cli"},
      {"actors", "cli"},
  };
  for (const auto& [folder, forbidden] : rows) {
    for (const std::string& where : matches(folder, "#include \"(" + forbidden + ")/")) {
      // The environment is the one struct that the API and the actors share; it is free of CAF.
      ADD_FAILURE() << where << ": " << folder << "/ must not include " << forbidden;
    }
  }
}

TEST(Architecture, DecisionsHaveNoClockThreadRandomnessOrUnorderedWalk) {
  const std::string banned =
      "system_clock|steady_clock|time\\(nullptr|random_device|_distribution|sleep_for|std::thread|"
      "std::mutex|unordered_|std::log\\(|std::exp\\(|std::pow\\(|std::sin\\(|getenv|fopen|ifstream";
  for (const std::string& where : matches("decision", banned)) {
    ADD_FAILURE() << where << ": decisions are pure";
  }
}

// Elsewhere a bounded poll of something that cannot be waited for may pause between two looks.
TEST(Architecture, NothingSleepsInPlaceOfACondition) {
  for (const std::string folder : {"decision", "storage", "api", "actors"}) {
    for (const std::string& where : matches(folder, "sleep_for|usleep\\(")) {
      ADD_FAILURE() << where << ": wait for a condition instead";
    }
  }
}

TEST(Architecture, FilesAndLinesStayReadable) {
  constexpr std::size_t lines_max = 520;
  constexpr std::size_t columns_max = 100;
  for (const std::string& folder : folders) {
    for (const fs::path& file : sources_in(folder)) {
      const std::vector<std::string> lines = lines_of(file);
      EXPECT_LE(lines.size(), lines_max) << fs::relative(file, root);
      for (std::size_t i = 0; i < lines.size(); ++i) {
        // Counted in bytes but for the few box-drawing characters of a picture in a comment.
        const bool picture = lines[i].find("\xe2") != std::string::npos;
        if (!picture) {
          EXPECT_LE(lines[i].size(), columns_max) << place(file, i);
        }
      }
    }
  }
}

}  // namespace
