// See distribution_panel.h.
#include "src/cli/distribution_panel.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <string>

#include "src/cli/quantities.h"

namespace knp::cli {
namespace {

struct Share {
  std::string name;
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;  // 0: not known
};

constexpr int kNameWidth = 9;
constexpr int kPercentWidth = 5;
constexpr int kCountWidth = 5;
constexpr int kGap = 2;
constexpr int kWidestPanel = 66;
constexpr int kWidthForBytes = 56;

std::vector<Share> ProtocolShares(const PacketStats& stats, std::size_t rows) {
  std::map<std::string, Count> sum;
  for (const InterfaceStats& interface : stats.interfaces)
    for (const auto& [name, count] : interface.protocols) sum[name] += count;
  std::vector<Share> shares;
  for (const auto& [name, count] : sum)
    if (count.packets > 0) shares.push_back({name, count.packets, count.bytes});
  std::stable_sort(shares.begin(), shares.end(), [](const Share& a, const Share& b) { return a.packets > b.packets; });
  if (shares.size() <= rows) return shares;
  Share other{fmt::format("{} other", shares.size() - rows + 1)};
  for (std::size_t i = rows - 1; i < shares.size(); ++i) {
    other.packets += shares[i].packets;
    other.bytes += shares[i].bytes;
  }
  shares.resize(rows - 1);
  shares.push_back(other);
  return shares;
}

std::string SizeName(std::uint32_t above, std::uint32_t up_to, const Canvas& canvas) {
  if (up_to == 0) return fmt::format("> {}", above);
  if (above == 0) return fmt::format("{} {}", GlyphsOf(canvas).at_most, up_to);
  return fmt::format("{}-{}", above + 1, up_to);
}

std::vector<Share> SizeShares(const PacketStats& stats, std::size_t rows, const Canvas& canvas) {
  std::vector<PacketSizeBucket> sum;
  for (const InterfaceStats& interface : stats.interfaces) {
    if (sum.size() < interface.sizes.size()) sum.resize(interface.sizes.size());
    for (std::size_t i = 0; i < interface.sizes.size(); ++i) {
      sum[i].up_to_bytes = interface.sizes[i].up_to_bytes;
      sum[i].rx_packets += interface.sizes[i].rx_packets + interface.sizes[i].tx_packets;
    }
  }
  const std::size_t merged = (sum.size() + rows - 1) / rows;
  std::vector<Share> shares;
  for (std::size_t i = 0; i < sum.size(); i += merged) {
    const std::size_t last = std::min(i + merged, sum.size()) - 1;
    Share share{SizeName(i == 0 ? 0 : sum[i - 1].up_to_bytes, sum[last].up_to_bytes, canvas)};
    for (std::size_t k = i; k <= last; ++k) share.packets += sum[k].rx_packets;
    shares.push_back(std::move(share));
  }
  return shares;
}

int BarWidth(int panel, bool with_bytes) {
  return std::max(0, panel - kNameWidth - kPercentWidth - kCountWidth - 3 - (with_bytes ? kCountWidth + 1 : 0));
}

TextLine HeadOf(const char* title, int panel, bool with_bytes) {
  TextLine line(Cell(title, panel - kCountWidth - 1 - (with_bytes ? kCountWidth + 1 : 0), Align::kLeft, ""),
                Style::kTitle);
  line.Add(" " + Cell("pkts", kCountWidth, Align::kRight, ""), Style::kDim);
  if (with_bytes) line.Add(" " + Cell("bytes", kCountWidth, Align::kRight, ""), Style::kDim);
  return line;
}

TextLine ShareLine(const Share& share, std::uint64_t whole, int panel, bool with_bytes, const Canvas& canvas) {
  const char* ellipsis = GlyphsOf(canvas).ellipsis;
  TextLine line(Cell(share.name, kNameWidth, Align::kLeft, ellipsis));
  const double fraction = whole == 0 ? 0 : static_cast<double>(share.packets) / static_cast<double>(whole);
  line.Add(" " + Bar(fraction, BarWidth(panel, with_bytes), canvas.utf8), Style::kAccent);
  line.Add(" " + Cell(Percent(share.packets, whole), kPercentWidth, Align::kRight, ellipsis));
  line.Add(" " + Cell(Short(share.packets), kCountWidth, Align::kRight, ellipsis), Style::kDim);
  if (with_bytes) line.Add(" " + Cell(Short(share.bytes), kCountWidth, Align::kRight, ellipsis), Style::kDim);
  return line;
}

std::uint64_t Sum(const std::vector<Share>& shares) {
  std::uint64_t sum = 0;
  for (const Share& share : shares) sum += share.packets;
  return sum;
}

}  // namespace

std::vector<TextLine> RenderDistributions(const PacketStats& stats, int rows, const Canvas& canvas) {
  const auto count = static_cast<std::size_t>(std::max(rows, 1));
  const std::vector<Share> protocols = ProtocolShares(stats, count);
  const std::vector<Share> sizes = SizeShares(stats, count, canvas);
  const int panel = std::min((canvas.width - kGap) / 2, kWidestPanel);
  const bool with_bytes = panel >= kWidthForBytes;

  TextLine head = HeadOf("PROTOCOLS", panel, with_bytes);
  head.Add(std::string(kGap, ' ')).Add(HeadOf("PACKET SIZES (bytes)", panel, false));
  std::vector<TextLine> lines{std::move(head)};
  for (std::size_t i = 0; i < count; ++i) {
    TextLine line;
    if (i < protocols.size()) line.Add(ShareLine(protocols[i], Sum(protocols), panel, with_bytes, canvas));
    if (i == 0 && protocols.empty()) line.Add("no packets in flows yet", Style::kDim);
    line.PadTo(panel + kGap);
    if (i < sizes.size()) line.Add(ShareLine(sizes[i], Sum(sizes), panel, false, canvas));
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace knp::cli
