// See record_text.h. RFC 1035 (3.3), RFC 2782 (SRV), RFC 8659 (CAA), RFC 9460 (SVCB, HTTPS).
#include "src/dns/record_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>

#include "src/dns/message.h"

namespace knp::dns {
namespace {

enum : std::uint16_t {
  kNs = 2,
  kSoa = 6,
  kPtr = 12,
  kMx = 15,
  kTxt = 16,
  kSrv = 33,
  kDname = 39,
  kSvcb = 64,
  kHttps = 65,
  kSpf = 99,
  kCaa = 257
};

using Bytes = std::span<const std::uint8_t>;

// Closes a text that has its bound reached; false as long as it has not.
bool Full(std::string* text) {
  if (text->size() < kMaxRecordText) return false;
  text->resize(kMaxRecordText);
  text->append("...");
  return true;
}

void AppendQuoted(Bytes bytes, std::string* text) {
  text->push_back('"');
  for (const std::uint8_t byte : bytes) {
    if (text->size() >= kMaxRecordText) break;
    if (byte == ' ')
      text->push_back(' ');
    else
      AppendEscaped(text, byte, '"');
  }
  text->push_back('"');
}

bool AppendStrings(Bytes bytes, std::string* text) {
  while (!bytes.empty()) {
    const std::size_t length = bytes[0];
    if (length + 1 > bytes.size()) return false;
    if (!text->empty()) text->push_back(' ');
    AppendQuoted(bytes.subspan(1, length), text);
    if (Full(text)) return true;
    bytes = bytes.subspan(length + 1);
  }
  return true;
}

void AppendUnknown(Bytes bytes, std::string* text) {
  fmt::format_to(std::back_inserter(*text), "\\# {} ", bytes.size());
  for (const std::uint8_t byte : bytes) {
    if (Full(text)) return;
    fmt::format_to(std::back_inserter(*text), "{:02x}", byte);
  }
  if (bytes.empty()) text->pop_back();
}

IpAddress AddressOf(Bytes bytes) {
  IpAddress address;
  address.version = bytes.size() == 16 ? 6 : 4;
  std::copy(bytes.begin(), bytes.end(), address.bytes.begin());
  return address;
}

bool AppendAlpn(Bytes value, std::string* text) {
  for (bool first = true; !value.empty() && text->size() < kMaxRecordText; first = false) {
    const std::size_t length = value[0];
    if (length + 1 > value.size()) return false;
    if (!first) text->push_back(',');
    for (const std::uint8_t byte : value.subspan(1, length)) AppendEscaped(text, byte, ',');
    value = value.subspan(length + 1);
  }
  return true;
}

bool AppendParameter(std::uint16_t key, Bytes value, std::string* text) {
  constexpr std::string_view kNames[] = {"mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint"};
  if (key < std::size(kNames))
    text->append(kNames[key]);
  else
    fmt::format_to(std::back_inserter(*text), "key{}", key);
  if (value.empty()) return true;
  text->push_back('=');
  const std::size_t address_size = key == 4 ? 4 : 16;
  switch (key) {
    case 1: return AppendAlpn(value, text);
    case 3:
      if (value.size() != 2) return false;
      fmt::format_to(std::back_inserter(*text), "{}", value[0] << 8 | value[1]);
      return true;
    case 4:
    case 6:
      if (value.size() % address_size != 0) return false;
      for (std::size_t at = 0; at < value.size() && text->size() < kMaxRecordText; at += address_size) {
        if (at > 0) text->push_back(',');
        text->append(AddressOf(value.subspan(at, address_size)).ToString());
      }
      return true;
    default:
      for (const std::uint8_t byte : value.first(std::min(value.size(), kMaxRecordText)))
        AppendEscaped(text, byte, '"');
      return true;
  }
}

bool AppendParameters(Bytes bytes, std::string* text) {
  while (!bytes.empty()) {
    if (bytes.size() < 4) return false;
    const auto key = static_cast<std::uint16_t>(bytes[0] << 8 | bytes[1]);
    const std::size_t length = static_cast<std::size_t>(bytes[2]) << 8 | bytes[3];
    if (4 + length > bytes.size()) return false;
    text->push_back(' ');
    if (!AppendParameter(key, bytes.subspan(4, length), text)) return false;
    if (Full(text)) return true;
    bytes = bytes.subspan(4 + length);
  }
  return true;
}

// Reads `numbers` 16-bit numbers and a name: MX, SRV, SVCB.
bool AppendNumbersAndName(Reader* reader, int numbers, std::string* text) {
  for (int i = 0; i < numbers; ++i) {
    std::uint16_t number = 0;
    if (reader->Number16(&number) != Outcome::kOk) return false;
    fmt::format_to(std::back_inserter(*text), "{} ", number);
  }
  std::string name;
  if (reader->Name(&name) != Outcome::kOk) return false;
  text->append(name);
  return true;
}

bool AppendSoa(Reader* reader, std::string* text) {
  std::string name;
  for (int i = 0; i < 2; ++i) {
    if (reader->Name(&name) != Outcome::kOk) return false;
    text->append(name).push_back(' ');
  }
  for (int i = 0; i < 5; ++i) {
    std::uint32_t number = 0;
    if (reader->Number32(&number) != Outcome::kOk) return false;
    fmt::format_to(std::back_inserter(*text), "{}{}", i == 0 ? "" : " ", number);
  }
  return true;
}

bool AppendCaa(Bytes bytes, std::string* text) {
  if (bytes.size() < 2 || bytes.size() < 2u + bytes[1]) return false;
  fmt::format_to(std::back_inserter(*text), "{} ", bytes[0]);
  for (const std::uint8_t byte : bytes.subspan(2, bytes[1])) AppendEscaped(text, byte, '"');
  text->push_back(' ');
  AppendQuoted(bytes.subspan(2u + bytes[1]), text);
  Full(text);
  return true;
}

// Names may be compressed, so they are read by the reader, which must end with the data.
bool ReadNames(Reader* reader, std::uint16_t type, std::size_t end, std::string* text) {
  bool ok = false;
  switch (type) {
    case kMx: ok = AppendNumbersAndName(reader, 1, text); break;
    case kSrv: ok = AppendNumbersAndName(reader, 3, text); break;
    case kSvcb:
    case kHttps:
      ok = AppendNumbersAndName(reader, 1, text) && reader->at() <= end &&
           AppendParameters(reader->Ahead(end - reader->at()), text);
      if (ok) reader->Skip(end - reader->at());
      break;
    case kSoa: ok = AppendSoa(reader, text); break;
    default: ok = AppendNumbersAndName(reader, 0, text);
  }
  return ok && reader->at() == end;
}

bool ReadKnown(Reader* reader, std::uint16_t type, Bytes data, std::string* text, std::optional<IpAddress>* address) {
  switch (type) {
    case kTypeA:
    case kTypeAaaa:
      if (data.size() != (type == kTypeA ? 4 : 16)) return false;
      *address = AddressOf(data);
      *text = (*address)->ToString();
      return true;
    case kTypeCname:
    case kNs:
    case kPtr:
    case kDname:
    case kMx:
    case kSrv:
    case kSoa:
    case kSvcb:
    case kHttps: return ReadNames(reader, type, reader->at() + data.size(), text);
    case kTxt:
    case kSpf: return AppendStrings(data, text);
    case kCaa: return AppendCaa(data, text);
    default: return false;
  }
}

}  // namespace

void ReadRecordText(Reader* reader, std::uint16_t type, std::size_t size, std::string* text,
                    std::optional<IpAddress>* address) {
  const Bytes data = reader->Ahead(size);
  Reader copy = *reader;
  reader->Skip(size);
  if (size == 0) return;  // a prerequisite or a deletion (RFC 2136, 2.4 and 2.5)
  if (ReadKnown(&copy, type, data, text, address)) return;
  text->clear();
  AppendUnknown(data, text);
}

}  // namespace knp::dns
