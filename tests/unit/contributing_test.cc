// CONTRIBUTING.md tells nothing that is not so: each file that it names exists, and what it quotes stands there.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

namespace knp {
namespace {

const std::filesystem::path kRoot = KNP_SOURCE_DIR;

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// `examples/a.cc` and the like: a path with a folder and an extension, in backquotes, without wildcards.
std::vector<std::string> PathsIn(const std::string& text) {
  static const std::regex kPath("`([A-Za-z_.]+(/[A-Za-z0-9_.-]+)+\\.[a-z]+)`");
  std::vector<std::string> paths;
  for (std::sregex_iterator match(text.begin(), text.end(), kPath), end; match != end; ++match)
    paths.push_back((*match)[1]);
  return paths;
}

struct Quotation {
  std::string from;                 // the last file named before it
  std::vector<std::string> pieces;  // what an ellipsis parts
};

std::vector<Quotation> QuotationsIn(const std::string& text) {
  std::vector<Quotation> quotations;
  std::istringstream lines(text);
  std::string before;
  bool inside = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("```")) {
      inside = !inside;
      if (inside) {
        const std::vector<std::string> paths = PathsIn(before);
        quotations.push_back({paths.empty() ? "" : paths.back(), {""}});
      }
    } else if (!inside) {
      before += line + "\n";
    } else if (line == "…") {
      quotations.back().pieces.emplace_back();
    } else {
      quotations.back().pieces.back() += line + "\n";
    }
  }
  return quotations;
}

TEST(Contributing, EveryFileItNames_Exists) {
  const std::vector<std::string> paths = PathsIn(ReadFile(kRoot / "CONTRIBUTING.md"));
  EXPECT_GT(paths.size(), 20u);
  for (const std::string& path : paths) EXPECT_TRUE(std::filesystem::exists(kRoot / path)) << path;
}

TEST(Contributing, EveryQuotation_StandsInTheFileNamedBeforeIt) {
  const std::vector<Quotation> quotations = QuotationsIn(ReadFile(kRoot / "CONTRIBUTING.md"));
  EXPECT_GE(quotations.size(), 5u);
  for (const Quotation& quotation : quotations) {
    const std::string file = ReadFile(kRoot / quotation.from);
    std::size_t at = 0;
    for (const std::string& piece : quotation.pieces) {
      const std::size_t found = file.find(piece, at);
      EXPECT_NE(found, std::string::npos) << quotation.from << " does not have, in this order:\n" << piece;
      if (found != std::string::npos) at = found + piece.size();
    }
  }
}

TEST(Contributing, QuotationThatIsNotThere_IsFound) {
  const std::vector<Quotation> quotations = QuotationsIn("`a/b.cc` and `examples/c.cc`:\n```c\none\n…\ntwo\n```\n");
  ASSERT_EQ(quotations.size(), 1u);
  EXPECT_EQ(quotations[0].from, "examples/c.cc");
  EXPECT_EQ(quotations[0].pieces, (std::vector<std::string>{"one\n", "two\n"}));
}

}  // namespace
}  // namespace knp
