// "Did you mean …?": the known word that is nearest to one that was mistyped.
#ifndef KNP_CLI_NEAREST_MATCH_H_
#define KNP_CLI_NEAREST_MATCH_H_

#include <optional>
#include <string>
#include <vector>

namespace knp::cli {

// The candidate with the fewest insertions, deletions, replacements and swaps of neighbours (restricted
// Damerau-Levenshtein distance), one that starts with `word` before all; nullopt if it takes more than a third of the
// letters of `word` (but one is always forgiven).
std::optional<std::string> NearestMatch(const std::string& word, const std::vector<std::string>& candidates);

}  // namespace knp::cli

#endif  // KNP_CLI_NEAREST_MATCH_H_
