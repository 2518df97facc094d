#include "src/app/signatures.h"

#include <algorithm>
#include <array>

#include "src/app/text.h"

namespace knp::app {
namespace {

using std::string_view;

bool IsPrintable(Bytes bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte > ' ' && byte < 0x7f; });
}

std::uint32_t LittleEndian32(ByteReader* reader) {
  const std::uint32_t value = reader->Number(4);
  return value >> 24 | (value >> 8 & 0xff00) | (value << 8 & 0xff0000) | value << 24;
}

// RFC 9113, 3.4. The answerer's side is a SETTINGS frame alone, which says too little.
bool IsHttp2(Bytes stream) { return AsText(stream).starts_with("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); }

// RFC 4253, 4.2: the identification string.
bool IsSsh(Bytes stream) { return AsText(stream).starts_with("SSH-2.0-") || AsText(stream).starts_with("SSH-1.99-"); }

// RFC 6120, 4.2: the stream's header, behind an XML declaration or without.
bool IsXmpp(Bytes stream) {
  string_view text = AsText(stream);
  if (text.starts_with("<?xml ")) text.remove_prefix(std::min(text.find('<', 1), text.size()));
  return text.starts_with("<stream:stream ");
}

// PostgreSQL, 55.7: StartupMessage 3.0, or the request for TLS or GSSAPI in front of it.
bool IsPostgres(Bytes stream) {
  ByteReader reader(stream);
  const std::uint32_t size = reader.Number(4), code = reader.Number(4);
  if (code == 80877103 || code == 80877104) return size == 8 && stream.size() == 8;
  return code == 3 << 16 && size == stream.size() && stream.back() == 0 && AsText(reader.rest()).starts_with("user");
}

// CQL 3 to 5: OPTIONS, or STARTUP with the version's key.
bool IsCassandra(Bytes stream) {
  ByteReader reader(stream);
  const std::uint32_t version = reader.Number(1), flags = reader.Number(1);
  reader.Number(2);
  const std::uint32_t opcode = reader.Number(1), size = reader.Number(4);
  if (reader.spent() || version < 3 || version > 5 || flags > 0x1f || size != reader.rest().size()) return false;
  return opcode == 5 ? size == 0 : opcode == 1 && AsText(reader.rest()).find("CQL_VERSION") != string_view::npos;
}

// Kafka's request header 1: size, API key and version, correlation, the client's name.
bool IsKafka(Bytes stream) {
  ByteReader reader(stream);
  const std::uint32_t size = reader.Number(4), key = reader.Number(2), version = reader.Number(2);
  reader.Number(4);
  const std::uint32_t name_size = reader.Number(2);
  const Bytes name = reader.Take(name_size);
  return !reader.spent() && size == stream.size() - 4 && key <= 92 && version <= 20 && name_size >= 2 &&
         name_size <= 255 && IsPrintable(name);
}

// MongoDB's wire protocol: an OP_MSG or OP_QUERY that is not an answer.
bool IsMongo(Bytes stream) {
  ByteReader reader(stream);
  const std::uint32_t size = LittleEndian32(&reader);
  reader.Number(4);
  const std::uint32_t answers = LittleEndian32(&reader), opcode = LittleEndian32(&reader);
  const std::uint32_t flags = LittleEndian32(&reader);
  if (reader.spent() || size != stream.size() || answers != 0) return false;
  if (opcode == 2004) return flags < 0x100 && AsText(reader.rest()).find(".$cmd") != string_view::npos;
  if (opcode != 2013 || (flags & ~0x10003u) != 0 || reader.Number(1) != 0) return false;
  const std::size_t room = reader.rest().size() - (flags & 1 ? 4 : 0);
  return LittleEndian32(&reader) <= room && !reader.spent();
}

// RESP: an array of a command and its arguments, "*1\r\n$4\r\nPING\r\n".
bool IsRedis(Bytes stream) {
  string_view text = AsText(stream);
  const auto number = [&](char kind) -> std::size_t {
    if (!text.starts_with(kind)) return 0;
    std::size_t value = 0, i = 1;
    for (; i < text.size() && i < 6 && text[i] >= '0' && text[i] <= '9'; ++i)
      value = value * 10 + static_cast<std::size_t>(text[i] - '0');
    if (i == 1 || !text.substr(i).starts_with("\r\n")) return 0;
    text.remove_prefix(i + 2);
    return value;
  };
  if (number('*') == 0) return false;
  const std::size_t size = number('$');
  if (size == 0 || size > 32 || text.size() < size + 2 || text.substr(size, 2) != "\r\n") return false;
  const string_view command = text.substr(0, size);
  return std::all_of(command.begin(), command.end(), [](char c) { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; });
}

// Elasticsearch between its nodes: "ES", the size of the rest, then request, status and version.
bool IsElasticsearch(Bytes stream) {
  ByteReader reader(stream);
  const std::uint32_t mark = reader.Number(2), size = reader.Number(4);
  reader.Number(4);
  const std::uint32_t request = reader.Number(4), status = reader.Number(1), version = reader.Number(4);
  return !reader.spent() && mark == 0x4553 && size >= 13 && size < 1 << 28 && request != 0 && status < 0x20 &&
         version >= 1'000'000 && version < 20'000'000;
}

// Zabbix: "ZBXD", flags, the size of the rest.
bool IsZabbix(Bytes stream) {
  ByteReader reader(stream);
  const std::uint32_t mark = reader.Number(4), flags = reader.Number(1), size = LittleEndian32(&reader);
  const std::uint32_t reserved = reader.Number(4);
  return !reader.spent() && mark == 0x5a425844 && flags >= 1 && flags <= 7 && size < 1 << 30 &&
         (reserved == 0 || (flags & 2) != 0);
}

// RFC 7296, 3.1 and RFC 2408, 3.1: the header of IKE, behind four zeros where NAT is in the way (RFC 3948).
bool IsIsakmp(Bytes datagram, std::size_t length) {
  ByteReader reader(datagram);
  if (AsText(datagram).starts_with(string_view("\0\0\0\0", 4))) {
    reader.Take(4);
    length -= 4;
  }
  const std::uint32_t initiator = reader.Number(4) | reader.Number(4);
  reader.Take(8);
  const std::uint32_t next = reader.Number(1), version = reader.Number(1), exchange = reader.Number(1);
  const std::uint32_t flags = reader.Number(1);
  reader.Number(4);
  const std::uint32_t size = reader.Number(4);
  if (reader.spent() || initiator == 0 || size != length || next > 54) return false;
  const bool first = version == 0x10 && ((exchange >= 1 && exchange <= 6) || exchange == 32 || exchange == 33);
  return (first && flags < 8) || (version == 0x20 && exchange >= 34 && exchange <= 44 && (flags & 0xc7) == 0);
}

// RFC 1350, 5: a request to read or write, of a file's name and a mode.
bool IsTftp(Bytes datagram, std::size_t length) {
  ByteReader reader(datagram);
  const std::uint32_t opcode = reader.Number(2);
  const string_view text = AsText(reader.rest());
  const std::size_t name_end = text.find('\0');
  if (length != datagram.size() || (opcode != 1 && opcode != 2) || name_end == 0 || name_end == string_view::npos)
    return false;
  const string_view rest = text.substr(name_end + 1);
  const string_view mode = rest.substr(0, rest.find('\0'));
  return rest.size() > mode.size() && (mode == "octet" || mode == "netascii" || mode == "OCTET" || mode == "NETASCII");
}

// RFC 2608, 8: the header of the service location protocol, version 2, with its language tag.
bool IsServiceLocation(Bytes datagram, std::size_t length) {
  ByteReader reader(datagram);
  const std::uint32_t version = reader.Number(1), function = reader.Number(1), size = reader.Number(3);
  const std::uint32_t flags = reader.Number(2);
  reader.Number(3);
  reader.Number(2);
  const std::uint32_t tag_size = reader.Number(2);
  const Bytes tag = reader.Take(tag_size);
  return !reader.spent() && version == 2 && function >= 1 && function <= 11 && size == length &&
         (flags & 0x1fff) == 0 && tag_size >= 2 && tag_size <= 8 && IsPrintable(tag);
}

// MS-RDPBCGR, 2.2.1.1: a connection request of ISO transport with RDP's cookie or its negotiation of security.
bool IsRemoteDesktop(Bytes stream) {
  ByteReader reader(stream);
  const std::uint32_t version = reader.Number(2), size = reader.Number(2), rest = reader.Number(1);
  const std::uint32_t request = reader.Number(1);
  reader.Take(5);
  if (reader.spent() || version != 0x0300 || size != stream.size() || rest != size - 5 || request != 0xe0) return false;
  if (AsText(reader.rest()).starts_with("Cookie: mstshash=")) return true;
  return reader.rest().size() == 8 && reader.Number(1) == 1 && reader.Number(1) < 8 && reader.Number(2) == 0x0800;
}

// MQTT 3.1, 3.1.1 and 5: CONNECT, its size (below 16 KB), the protocol's name.
bool IsMqtt(Bytes stream) {
  ByteReader reader(stream);
  if (reader.Number(1) != 0x10) return false;
  if ((reader.Number(1) & 0x80) != 0) reader.Number(1);
  const std::uint32_t name_size = reader.Number(2);
  const string_view name = AsText(reader.Take(name_size));
  const std::uint32_t version = reader.Number(1);
  return !reader.spent() && ((name == "MQTT" && (version == 4 || version == 5)) || (name == "MQIsdp" && version == 3));
}

// AMQP 0-9-1, 4.2.2 and 1.0, 2.2: the protocol's header.
bool IsAmqp(Bytes stream) {
  ByteReader reader(stream);
  const bool marked = AsText(reader.Take(4)) == "AMQP";
  const std::uint32_t id = reader.Number(1), major = reader.Number(1);
  reader.Number(2);
  return marked && !reader.spent() && id <= 3 && major <= 1;
}

// MS-TDS, 2.2.6.5: PRELOGIN, whose first option is the version, six bytes behind the list of options.
bool IsSqlServer(Bytes stream) {
  ByteReader reader(stream);
  const std::uint32_t kind = reader.Number(2), size = reader.Number(2);
  reader.Number(4);
  const std::uint32_t option = reader.Number(1), offset = reader.Number(2), option_size = reader.Number(2);
  return !reader.spent() && kind == 0x1201 && size == stream.size() && option == 0 && offset < size && option_size == 6;
}

// RFC 7766, 8: a message behind its size.
bool IsDnsOverTcp(Bytes stream) {
  ByteReader reader(stream);
  const std::uint32_t size = reader.Number(2);
  return size >= 17 && size <= reader.rest().size() && IsDnsMessage(reader.rest().first(size));
}

template <typename Check>
struct Signature {
  string_view name;  // as nDPI calls it, where it knows it
  Check* check;
};

constexpr std::array<Signature<bool(Bytes)>, 15> kStreams = {{
    {"HTTP2", IsHttp2},
    {"SSH", IsSsh},
    {"DNS", IsDnsOverTcp},
    {"RDP", IsRemoteDesktop},
    {"MQTT", IsMqtt},
    {"AMQP", IsAmqp},
    {"MsSQL-TDS", IsSqlServer},
    {"Jabber", IsXmpp},
    {"PostgreSQL", IsPostgres},
    {"Cassandra", IsCassandra},
    {"Kafka", IsKafka},
    {"MongoDB", IsMongo},
    {"Redis", IsRedis},
    {"Elasticsearch", IsElasticsearch},
    {"Zabbix", IsZabbix},
}};

constexpr std::array<Signature<bool(Bytes, std::size_t)>, 3> kDatagrams = {{
    {"IPSec", IsIsakmp},
    {"TFTP", IsTftp},
    {"Service_Location_Protocol", IsServiceLocation},
}};

}  // namespace

string_view StreamSignature(Bytes stream) {
  for (const auto& signature : kStreams)
    if (signature.check(stream)) return signature.name;
  return {};
}

// RFC 5905, 7.3: a version and a mode that there are, and the size of the header or what may follow it.
bool IsTimeMessage(Bytes datagram, std::size_t length) {
  ByteReader reader(datagram);
  const std::uint32_t first = reader.Number(1), stratum = reader.Number(1);
  const std::uint32_t version = first >> 3 & 7, mode = first & 7;
  if (reader.spent() || version < 1 || version > 4) return false;
  if (mode == 6 || mode == 7) return length >= 8 && length % 4 == 0;  // control and private messages
  return mode >= 1 && length >= 48 && length % 4 == 0 && length <= 200 && stratum <= 16;
}

string_view DatagramSignature(Bytes datagram, std::size_t length) {
  if (IsDnsMessage(datagram)) return "DNS";
  for (const auto& signature : kDatagrams)
    if (signature.check(datagram, length)) return signature.name;
  return {};
}

}  // namespace knp::app
