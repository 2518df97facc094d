// The ledger for people: whether every packet that passed our hooks is accounted for, and where it went. Part of the
// monitor's view and of its last words.
#ifndef KNP_CLI_LEDGER_TEXT_H_
#define KNP_CLI_LEDGER_TEXT_H_

#include <knp/types.h>

#include <map>
#include <string>
#include <vector>

#include "src/cli/styled_text.h"

namespace knp::cli {

// In one line of at most canvas.width columns, in full numbers if they fit: "seen 9 = in flows 7 + remainder 1 + lost 0
// + in flight 1 ✓". Red if it does not add up, or if anything was lost.
TextLine RenderLedgerLine(const Ledger& ledger, const Canvas& canvas);

// In full, a line an entry, with reasons and places: for the end of a run.
std::vector<TextLine> RenderLedger(const Ledger& ledger, const Canvas& canvas);

// What is wrong with a ledger that should be settled, "12 packets unaccounted for"; empty if it is balanced.
std::string ImbalanceText(const Ledger& ledger);

Count SumOf(const std::map<std::string, Count>& counts);

}  // namespace knp::cli

#endif  // KNP_CLI_LEDGER_TEXT_H_
