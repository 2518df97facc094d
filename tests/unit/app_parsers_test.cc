// The parsers of src/app on hand-made payloads, whole, in parts and broken.
#include <gtest/gtest.h>

#include <string>

#include "src/app/http_head.h"
#include "src/app/signatures.h"
#include "src/app/stream_start.h"
#include "src/app/text.h"
#include "src/app/tls_hello.h"
#include "tests/support/payloads.h"

namespace knp::app {
namespace {

using std::string_literals::operator""s;
using testing::AsBytes;
using testing::Number;
using testing::Sized;

const testing::Hello kHello = {.server_name = "shop.example.org", .alpn = {"h2", "http/1.1"}};

TEST(TlsHello, Whole_GivesNameAndAlpn) {
  const auto hello = ParseTlsClientHello(AsBytes(testing::TlsClientHello(kHello)));
  ASSERT_TRUE(hello);
  EXPECT_TRUE(hello->complete);
  EXPECT_EQ(hello->server_name, "shop.example.org");
  EXPECT_EQ(hello->alpn, "h2,http/1.1");
}

TEST(TlsHello, CutAnywhere_GivesNothingFalse) {
  const std::string whole = testing::TlsClientHello(kHello);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const std::string part = whole.substr(0, size);  // its own buffer, for ASAN
    const auto hello = ParseTlsClientHello(AsBytes(part));
    if (!hello) continue;
    EXPECT_FALSE(hello->complete) << size;
    EXPECT_TRUE(hello->server_name.empty() || hello->server_name == "shop.example.org") << hello->server_name;
    EXPECT_TRUE(hello->alpn.empty() || hello->alpn == "h2,http/1.1") << hello->alpn;
  }
}

TEST(TlsHello, EveryByteWrong_IsHarmless) {
  const std::string whole = testing::TlsClientHello(kHello);
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const int value : {0x00, 0x01, 0x29, 0x7f, 0xff}) {
      std::string broken = whole;
      broken[at] = static_cast<char>(value);
      const auto hello = ParseTlsClientHello(AsBytes(broken));
      EXPECT_LE(hello.value_or(TlsHello()).server_name.size(), 255U);
    }
  }
}

TEST(TlsHello, SizeSmallerThanItsFields_IsNoHello) {
  std::string hello = testing::TlsClientHello(kHello);
  hello[6] = hello[7] = 0, hello[8] = 0x29;  // the message's size
  EXPECT_FALSE(ParseTlsClientHello(AsBytes(hello)));
}

TEST(TlsHello, InSeveralRecords_IsJoined) {
  const std::string handshake = testing::TlsHandshake(kHello);
  std::string stream;
  for (std::size_t at = 0; at < handshake.size(); at += 50)
    stream += Number(22, 1) + Number(0x0301, 2) + Sized(handshake.substr(at, 50), 2);
  const auto hello = ParseTlsClientHello(AsBytes(stream));
  ASSERT_TRUE(hello);
  EXPECT_TRUE(hello->complete);
  EXPECT_EQ(hello->server_name, "shop.example.org");
}

TEST(TlsHello, BytesBehindTheHello_AreNotItsExtensions) {
  testing::Hello hello = kHello;
  hello.server_name = "";
  std::string handshake = testing::TlsHandshake(hello);
  handshake += Number(0, 2) + Sized(Sized("\0"s + Sized("evil.example", 2), 2), 2);
  const auto parsed = ParseTlsClientHello(AsBytes(Number(22, 1) + Number(0x0301, 2) + Sized(handshake, 2)));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->server_name, "");
}

TEST(TlsHello, ControlCharactersInTheName_BecomeQuestionMarks) {
  testing::Hello hello = kHello;
  hello.server_name = "a\x1b[31m\nb\xff.example";
  EXPECT_EQ(ParseTlsClientHello(AsBytes(testing::TlsClientHello(hello)))->server_name, "a?[31m?b?.example");
}

TEST(TlsHello, OtherProtocols_AreNone) {
  EXPECT_FALSE(ParseTlsClientHello(AsBytes("GET / HTTP/1.1\r\n\r\n")));
  EXPECT_FALSE(ParseTlsClientHello(AsBytes(std::string("\x16\x03\x01\x00\x40\x02", 6) + std::string(70, 'x'))));
  EXPECT_FALSE(IsTlsServerHello(AsBytes(testing::TlsClientHello(kHello))));
}

TEST(TlsServerHello, HelloOrAlert_IsOne) {
  const std::string body = Number(0x0303, 2) + std::string(32, 'r') + "\0\x13\x01\0"s;
  const std::string handshake = Number(2, 1) + Sized(body, 3);
  EXPECT_TRUE(IsTlsServerHello(AsBytes(Number(22, 1) + Number(0x0303, 2) + Sized(handshake, 2))));
  EXPECT_TRUE(IsTlsServerHello(AsBytes("\x15\x03\x03\0\x02\x02\x28"s)));
  EXPECT_FALSE(IsTlsServerHello(AsBytes("\x15\x03\x03\0\x02\x07\x28"s)));
}

TEST(TlsRecords, FromTheMiddle_AreKnownByTheirSizes) {
  const std::string one = "\x17\x03\x03"s + Sized(std::string(40, 'x'), 2);
  EXPECT_TRUE(IsTlsRecords(AsBytes(one)));
  EXPECT_TRUE(IsTlsRecords(AsBytes(one + one + one.substr(0, 9))));
  EXPECT_FALSE(IsTlsRecords(AsBytes(one.substr(0, 30))));
  EXPECT_FALSE(IsTlsRecords(AsBytes(one + "nothing of the kind")));
}

TEST(HttpRequest, Usual_GivesAll) {
  const auto request =
      ParseHttpRequest(AsBytes("POST /a/b?c=d HTTP/1.1\r\nAccept: */*\r\nhOsT:  api.example:8080 \r\n\r\n"));
  ASSERT_TRUE(request);
  EXPECT_TRUE(request->complete);
  EXPECT_EQ(request->method, "POST");
  EXPECT_EQ(request->url, "/a/b?c=d");
  EXPECT_EQ(request->host, "api.example:8080");
}

TEST(HttpRequest, ToAProxy_GivesTheTargetsHost) {
  EXPECT_EQ(ParseHttpRequest(AsBytes("CONNECT db.example:443 HTTP/1.1\r\n\r\n"))->host, "db.example:443");
  EXPECT_EQ(ParseHttpRequest(AsBytes("GET http://a.example/x HTTP/1.0\r\n\r\n"))->host, "a.example");
}

TEST(HttpRequest, LongTarget_IsCutAt256) {
  const std::string line = "GET /" + std::string(3000, 'x');
  EXPECT_EQ(ParseHttpRequest(AsBytes(line))->url.size(), 256U);
  EXPECT_EQ(ParseHttpRequest(AsBytes(line + " HTTP/1.1\r\n"))->url.size(), 256U);
  EXPECT_FALSE(ParseHttpRequest(AsBytes(line.substr(0, 500))));
}

TEST(HttpRequest, Kin_IsNone) {
  for (const char* text :
       {"INVITE sip:a@b SIP/2.0\r\n\r\n", "OPTIONS rtsp://a RTSP/1.0\r\n\r\n", "get / HTTP/1.1\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET /\r\n", "GET  HTTP/1.1\r\n", " / HTTP/1.1\r\n", "GET"})
    EXPECT_FALSE(ParseHttpRequest(AsBytes(text))) << text;
}

TEST(HttpStatus, Lines_AreReadStrictly) {
  EXPECT_EQ(ParseHttpStatus(AsBytes("HTTP/1.1 404 Not Found\r\n")), 404);
  EXPECT_EQ(ParseHttpStatus(AsBytes("HTTP/1.0 200\r\nA: b\r\n")), 200);
  for (const char* text :
       {"HTTP/1.1 20", "HTTP/1.1 2x0 OK\r\n", "HTTP/1.1 999 ?\r\n", "HTTP/2.0 200 OK\r\n", "HTTP/1.1 2000\r\n"})
    EXPECT_FALSE(ParseHttpStatus(AsBytes(text))) << text;
}

TEST(StreamStart, OutOfOrderTwiceAndOverlapping_IsPutInOrder) {
  StreamStart stream;
  EXPECT_TRUE(stream.Add(1005, AsBytes("fghij")));
  EXPECT_TRUE(stream.Add(1000, AsBytes("abcde")));
  EXPECT_FALSE(stream.Add(1005, AsBytes("fghij")));
  EXPECT_FALSE(stream.Add(1002, AsBytes("cde")));
  EXPECT_TRUE(stream.Add(1008, AsBytes("ijkl")));
  EXPECT_TRUE(stream.Add(1014, AsBytes("behind a gap")));
  EXPECT_EQ(AsText(stream.bytes()), "abcdefghijkl");
}

TEST(StreamStart, AcrossTheEndOfTheNumbers_GoesOn) {
  StreamStart stream;
  EXPECT_TRUE(stream.Add(0xfffffffe, AsBytes("abc")));
  EXPECT_TRUE(stream.Add(1, AsBytes("def")));
  EXPECT_EQ(AsText(stream.bytes()), "abcdef");
}

TEST(StreamStart, TooMuch_IsCut) {
  StreamStart stream;
  std::uint32_t sequence = 0;
  for (int i = 0; i < 10; ++i, sequence += 1000) stream.Add(sequence, AsBytes(std::string(1000, 'x')));
  EXPECT_EQ(stream.bytes().size(), StreamStart::kMaxBytes);
  EXPECT_FALSE(stream.Add(1 << 24, AsBytes("far")));
}

TEST(PrintableText, Utf8_IsKeptAndTheRestIsNot) {
  EXPECT_EQ(PrintableText("m\xc3\xbcnchen \xe2\x82\xac \xf0\x9f\x90\x9d"),
            "m\xc3\xbcnchen \xe2\x82\xac \xf0\x9f\x90\x9d");
  // NOLINTNEXTLINE(misc-misleading-bidirectional): it is to be taken out
  EXPECT_EQ(PrintableText("\xc0\x80 \xed\xa0\x80 \xc2\x85 \xe2\x80\xae \x7f"), "?? ??? ?? ??? ?");
  EXPECT_EQ(PrintableText("ab\xc3\xbc", 3), "ab");
}

TEST(Signatures, EachProtocolsBeginning_IsKnown) {
  const std::string cql = "\x04\0\0\0\x05\0\0\0\0"s;
  const std::string kafka = Sized(Number(18, 2) + Number(3, 2) + Number(7, 4) + Sized("consumer-1", 2) + "\0"s, 4);
  const std::string mongo = "\x15\0\0\0\x01\0\0\0\0\0\0\0\xdd\x07\0\0\0\0\0\0\0"s;  // its body is to be 5 bytes
  const std::vector<std::pair<std::string, const char*>> streams = {
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4"s, "HTTP2"},
      {"SSH-2.0-OpenSSH_9.2\r\n", "SSH"},
      {"<?xml version='1.0'?><stream:stream to='a'>", "Jabber"},
      {"\0\0\0\x08\x04\xd2\x16\x2f"s, "PostgreSQL"},
      {"\0\0\0\x14\0\3\0\0user\0alice\0\0"s, "PostgreSQL"},
      {cql, "Cassandra"},
      {kafka, "Kafka"},
      {"\x1a" + mongo.substr(1) + "\x05\0\0\0\0"s, "MongoDB"},
      {"*1\r\n$4\r\nPING\r\n", "Redis"},
      {"ES\0\0\0\x20\0\0\0\0\0\0\0\1\0\0\x7a\x12\0"s, "Elasticsearch"},
      {"ZBXD\1\x0c\0\0\0\0\0\0\0agent.ping\n"s, "Zabbix"},
      {"\x10\x10\0\4MQTT\4\2\0\x3c\0\4abcd"s, "MQTT"},
      {"AMQP\0\0\x09\x01"s, "AMQP"},
      {"\x12\x01\0\x14\0\0\1\0\0\0\x0b\0\6\xff\1\2\3\4\5\6"s, "MsSQL-TDS"},
      {"\3\0\0\x13\x0e\xe0\0\0\0\0\0\1\0\x08\0\3\0\0\0"s, "RDP"},
      {Sized(testing::DnsQuery({"a", "example"}), 2), "DNS"},
  };
  for (const auto& [stream, name] : streams) {
    EXPECT_EQ(StreamSignature(AsBytes(stream)), std::string_view(name)) << name;
    for (std::size_t size = 0; size < stream.size(); ++size) StreamSignature(AsBytes(stream.substr(0, size)));
  }
  const std::string ike = std::string(8, 'i') + std::string(8, '\0') + "\x21\x20\x22\x08\0\0\0\0"s + Number(28, 4);
  EXPECT_EQ(DatagramSignature(AsBytes(ike), 28), "IPSec");
  EXPECT_EQ(DatagramSignature(AsBytes(ike), 29), "");
  EXPECT_EQ(DatagramSignature(AsBytes("\0\1boot.img\0octet\0"s), 17), "TFTP");
  EXPECT_EQ(DatagramSignature(AsBytes("\2\1\0\0\x10\0\0\0\0\0\0\1\0\2en"s), 16), "Service_Location_Protocol");
}

TEST(DnsMessage, QueriesAndAnswers_AreToldFromNoise) {
  const std::string query = testing::DnsQuery({"www", "example", "org"});
  EXPECT_TRUE(IsDnsMessage(AsBytes(query)));
  EXPECT_FALSE(IsDnsMessage(AsBytes(query + "x")));
  for (std::size_t size = 0; size < query.size(); ++size) EXPECT_FALSE(IsDnsMessage(AsBytes(query.substr(0, size))));
  std::string answer = query;
  answer[2] = '\x81', answer[3] = '\x80', answer[7] = 1;
  EXPECT_FALSE(IsDnsMessage(AsBytes(answer)));
  EXPECT_TRUE(IsDnsMessage(AsBytes(answer + "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x0a\0\0\1"s)));
}

}  // namespace
}  // namespace knp::app
