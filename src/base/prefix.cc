// Blocks of addresses. See include/knp/prefix.h.
#include <fmt/format.h>
#include <knp/prefix.h>

#include <algorithm>
#include <charconv>
#include <optional>

namespace knp {
namespace {

unsigned BitsOf(const IpAddress& address) { return address.version == 6 ? 128 : 32; }

// Digits alone: no sign, no blank, no leading zero that could mean octal to somebody.
std::optional<unsigned> ParseLength(const std::string& text) {
  unsigned length = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, length);
  if (error != std::errc() || stop != end || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  return length;
}

}  // namespace

Prefix Prefix::Of(const IpAddress& address, unsigned length) {
  Prefix prefix{address, static_cast<std::uint8_t>(std::min(length, BitsOf(address)))};
  for (std::size_t i = 0; i < prefix.address.bytes.size(); i++) {
    const unsigned before = static_cast<unsigned>(i) * 8;
    const unsigned kept = prefix.length > before ? std::min(prefix.length - before, 8u) : 0;
    prefix.address.bytes[i] &= static_cast<std::uint8_t>(0xff00u >> kept);
  }
  return prefix;
}

Prefix Prefix::Host(const IpAddress& address) { return Of(address, BitsOf(address)); }

absl::StatusOr<Prefix> Prefix::Parse(const std::string& text) {
  const std::size_t slash = text.find('/');
  const auto address = ParseIpAddress(text.substr(0, slash));
  if (!address)
    return absl::InvalidArgumentError(
        fmt::format("'{}' is no address and no prefix: write 10.1.2.3, 10.0.0.0/8, fd00::1 or fd00::/8", text));
  if (slash == std::string::npos) return Host(*address);
  const auto length = ParseLength(text.substr(slash + 1));
  if (!length || *length > BitsOf(*address))
    return absl::InvalidArgumentError(fmt::format("'{}': the length of an IPv{} prefix is a number from 0 to {}", text,
                                                  address->version, BitsOf(*address)));
  return Of(*address, *length);
}

bool Prefix::Contains(const IpAddress& other) const {
  return other.version == address.version && Of(other, length).address == address;
}

bool Prefix::Contains(const Prefix& other) const { return other.length >= length && Contains(other.address); }

std::string Prefix::ToString() const {
  return IsHost() ? address.ToString() : fmt::format("{}/{}", address.ToString(), length);
}

}  // namespace knp
