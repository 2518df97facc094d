// One DNS message: what is read from good ones, and that no other does harm.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "src/dns/message.h"
#include "src/dns/reader.h"
#include "tests/support/dns_bytes.h"

namespace knp::dns {
namespace {

using knp::testing::Be16;
using knp::testing::Be32;
using knp::testing::Bytes;
using knp::testing::DnsAddress;
using knp::testing::DnsExamples;
using knp::testing::DnsHeader;
using knp::testing::DnsLabel;
using knp::testing::DnsName;
using knp::testing::DnsPointer;
using knp::testing::DnsQuestion;
using knp::testing::DnsRecord;
using knp::testing::DnsResponse;
using knp::testing::Join;

bool Printable(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

// Bytes of exactly this size, so that ASAN sees any read beyond; and what must hold of any message.
Verdict ParseExactly(const Bytes& bytes, std::size_t length, Message* message) {
  const std::unique_ptr<std::uint8_t[]> exact(new std::uint8_t[bytes.size()]);
  std::copy(bytes.begin(), bytes.end(), exact.get());
  const Verdict verdict = Parse({exact.get(), bytes.size()}, length, message);
  EXPECT_TRUE(!message->question || Printable(message->question->name));
  EXPECT_LE(message->answers.size(), kMaxAnswers);
  for (const Answer& answer : message->answers) {
    EXPECT_TRUE(Printable(answer.owner) && Printable(answer.text)) << answer.owner << ' ' << answer.text;
    EXPECT_LE(answer.owner.size(), 4 * kMaxNameOctets);
    EXPECT_LE(answer.text.size(), 8 * kMaxNameOctets + 64);
  }
  return verdict;
}

Message Parsed(const Bytes& bytes) {
  Message message;
  EXPECT_EQ(ParseExactly(bytes, bytes.size(), &message), Verdict::kMessage);
  return message;
}

Verdict VerdictOn(const Bytes& bytes) {
  Message message;
  return ParseExactly(bytes, bytes.size(), &message);
}

Message Example(const std::string& name) {
  for (const auto& example : DnsExamples())
    if (example.name == name) return Parsed(example.bytes);
  ADD_FAILURE() << "no example " << name;
  return {};
}

TEST(DnsMessage, Query_HasNameTypeAndFlags) {
  const Message message = Example("query");
  EXPECT_EQ(message.id, 1);
  EXPECT_FALSE(message.response);
  EXPECT_EQ(message.opcode, kOpcodeQuery);
  EXPECT_FALSE(message.truncated);
  EXPECT_FALSE(message.cut);
  ASSERT_TRUE(message.question.has_value());
  EXPECT_EQ(message.question->name, "www.example.com");  // in lower case
  EXPECT_EQ(message.question->type, kTypeA);
  EXPECT_EQ(message.question->rr_class, kClassIn);
  EXPECT_EQ(Example("root").question->name, ".");
}

TEST(DnsMessage, Answers_AreWrittenAsInAZoneFile) {
  const std::pair<const char*, std::vector<std::string>> cases[] = {
      {"a", {"192.0.2.1", "192.0.2.2"}},
      {"aaaa", {"2020:2020:2020:2020:2020:2020:2020:2020"}},
      {"cname", {"cdn.example.com", "192.0.2.9"}},
      {"mx", {"10 mail.example.com"}},
      {"txt", {"\"v=spf1 -all\" \"\\\"\\007\""}},
      {"srv", {"1 2 5060 sip.example.com"}},
      {"soa", {"ns.example.com admin.example.com 2026 2 3 4 5"}},
      {"ptr", {"host.example.com"}},
      {"https",
       {"1 . alpn=h3,h2 port=8443 ipv4hint=192.0.2.1 ipv6hint=2020:2020:2020:2020:2020:2020:2020:2020 no-default-alpn "
        "key9=x\\255"}},
      {"caa", {"0 issue \"ca\""}},
      {"unknown_type", {"\\# 3 0102ff"}},
      {"root", {"a.root-servers.net"}},
      {"nxdomain", {}},
  };
  for (const auto& [name, texts] : cases) {
    const Message message = Example(name);
    std::vector<std::string> found;
    for (const Answer& answer : message.answers) found.push_back(answer.text);
    EXPECT_EQ(found, texts) << name;
    EXPECT_TRUE(message.response);
    EXPECT_FALSE(message.cut) << name;
  }
}

TEST(DnsMessage, Record_HasOwnerTtlAndAddress) {
  const Message message = Example("cname");
  ASSERT_EQ(message.answers.size(), 2u);
  EXPECT_EQ(message.answers[0].owner, "www.example.com");
  EXPECT_EQ(message.answers[0].type, kTypeCname);
  EXPECT_FALSE(message.answers[0].address.has_value());
  EXPECT_EQ(message.answers[1].owner, "cdn.example.com");
  EXPECT_EQ(message.answers[1].ttl_s, 60u);
  EXPECT_EQ(message.answers[1].address, ParseIpAddress("192.0.2.9"));
  EXPECT_EQ(Example("aaaa").answers[0].address->version, 6);
}

TEST(DnsMessage, Rcode_IsExtendedByOpt) {
  EXPECT_EQ(Example("nxdomain").rcode, 3);
  EXPECT_EQ(Example("badvers").rcode, 16);
}

TEST(DnsMessage, ManyAnswers_OnlyTheFirstAreKept) {
  std::vector<Bytes> records;
  for (std::uint8_t i = 0; i < 40; ++i) records.push_back(DnsAddress(i));
  Bytes bytes = DnsResponse(1, "example.com", 1, records);
  bytes[11] = 1;  // one in the additional section
  bytes = Join({bytes, {0}, Be16(41), Be16(512), Be32(0x02000000), Be16(0)});
  const Message message = Parsed(bytes);
  ASSERT_EQ(message.answers.size(), kMaxAnswers);
  EXPECT_EQ(message.answers[15].text, "192.0.2.15");
  EXPECT_EQ(message.rcode, 32);  // what follows is read all the same
}

TEST(DnsMessage, OddBytesInAName_AreEscaped) {
  const Bytes name = Join({DnsLabel(std::string("a.b\\c", 5)), DnsLabel(std::string("\0 \x7f\xff\"", 5)), {0}});
  const Message message = Parsed(Join({DnsHeader(1, 0, 1, 0), name, Be16(1), Be16(1)}));
  EXPECT_EQ(message.question->name, "a\\.b\\\\c.\\000\\032\\127\\255\"");
}

TEST(DnsMessage, LongestName_IsReadAndOneMoreIsNot) {
  const Bytes label = DnsLabel(std::string(63, 'x'));
  const Bytes longest = Join({label, label, label, DnsLabel(std::string(61, 'y')), {0}});
  ASSERT_EQ(longest.size(), kMaxNameOctets);
  const Message message = Parsed(Join({DnsHeader(1, 0, 1, 0), longest, Be16(1), Be16(1)}));
  EXPECT_EQ(message.question->name.size(), 253u);
  const Bytes longer = Join({label, label, label, DnsLabel(std::string(62, 'y')), {0}});
  EXPECT_EQ(VerdictOn(Join({DnsHeader(1, 0, 1, 0), longer, Be16(1), Be16(1)})), Verdict::kMalformed);
}

TEST(DnsMessage, LongNameByPointers_IsRefused) {
  // Each name is a label of 63 bytes and the name before: the fifth would be longer than a name may be.
  Bytes bytes = Join({DnsHeader(1, 0x8000, 1, 5), DnsName("x"), Be16(1), Be16(1)});
  std::size_t last = 12;
  for (int i = 0; i < 5; ++i) {
    const std::size_t here = bytes.size();
    bytes = Join({bytes, DnsRecord(Join({DnsLabel(std::string(63, 'a')), DnsPointer(static_cast<unsigned>(last))}), 1,
                                   1, {1, 2, 3, 4})});
    last = here;
  }
  EXPECT_TRUE(Parsed(bytes).broken);
  ASSERT_EQ(Parsed(bytes).answers.size(), 3u);
  EXPECT_EQ(Parsed(bytes).answers.back().owner.size(), 3 * 64 + 1u);
}

TEST(DnsMessage, LabelsOf64AndMore_AreRefused) {
  for (const unsigned length : {64u, 65u, 100u, 127u, 128u, 191u}) {
    const Bytes name = Join({{static_cast<std::uint8_t>(length)}, Bytes(200, 'x'), {0}});
    EXPECT_EQ(VerdictOn(Join({DnsHeader(1, 0, 1, 0), name, Be16(1), Be16(1)})), Verdict::kMalformed) << length;
  }
}

TEST(DnsMessage, PointersThatDoNotGoBack_AreRefused) {
  const auto with_question = [](const Bytes& name) { return Join({DnsHeader(1, 0, 1, 0), name, Be16(1), Be16(1)}); };
  EXPECT_EQ(VerdictOn(with_question(DnsPointer(12))), Verdict::kMalformed);                         // itself
  EXPECT_EQ(VerdictOn(with_question(DnsPointer(14))), Verdict::kMalformed);                         // forward
  EXPECT_EQ(VerdictOn(with_question(DnsPointer(0x3fff))), Verdict::kMalformed);                     // beyond the end
  EXPECT_EQ(VerdictOn(with_question(DnsPointer(4))), Verdict::kMalformed);                          // into the header
  EXPECT_EQ(VerdictOn(with_question(Join({DnsLabel("a"), DnsPointer(12)}))), Verdict::kMalformed);  // a loop
  EXPECT_EQ(VerdictOn(with_question(Join({DnsLabel("a"), DnsPointer(13)}))), Verdict::kMalformed);  // into itself
  // Two pointers at each other, in two records.
  const Bytes two = Join({DnsHeader(1, 0x8000, 1, 2), DnsName("x"), Be16(1), Be16(1)});
  const auto first = static_cast<unsigned>(two.size());
  const Message message = Parsed(Join(
      {two, DnsRecord(DnsPointer(first + 16), 1, 1, {1, 2, 3, 4}), DnsRecord(DnsPointer(first), 1, 1, {1, 2, 3, 4})}));
  EXPECT_TRUE(message.broken);
  EXPECT_TRUE(message.answers.empty());
}

TEST(DnsMessage, ManyPointersInARow_AreRefused) {
  // Each answer's owner points at the one before.
  for (const unsigned count : {15u, 100u}) {
    Bytes bytes = Join({DnsHeader(1, 0x8000, 1, 1), DnsName("x"), Be16(1), Be16(1)});
    unsigned last = 12;
    Bytes chain;
    for (unsigned i = 0; i < count; ++i) {
      const auto here = static_cast<unsigned>(bytes.size() + 11 + chain.size());
      chain = Join({chain, DnsPointer(last)});
      last = here;
    }
    bytes = Join({bytes, DnsRecord({0}, 65280, 1, chain), DnsRecord(DnsPointer(last), 1, 1, {1, 2, 3, 4})});
    bytes[7] = 2;
    EXPECT_EQ(Parsed(bytes).broken, count > 64) << count;
  }
}

TEST(DnsMessage, DataThatIsNotWhatItsTypeSays_IsWrittenAsUnknown) {
  const auto with = [](unsigned type, const Bytes& data) {
    const Message message = Parsed(
        DnsResponse(1, "example.com", type,
                    {DnsRecord(DnsPointer(12), type, 60, data), DnsRecord(DnsPointer(12), 5, 60, DnsName("b"))}));
    EXPECT_EQ(message.answers.size(), 2u);
    EXPECT_EQ(message.answers.back().text, "b");
    EXPECT_FALSE(message.answers.front().address.has_value());
    return message.answers.front().text;
  };
  EXPECT_EQ(with(1, {1, 2, 3}), "\\# 3 010203");
  EXPECT_EQ(with(1, {1, 2, 3, 4, 5}), "\\# 5 0102030405");
  EXPECT_EQ(with(28, {1, 2, 3, 4}), "\\# 4 01020304");
  EXPECT_EQ(with(5, Join({DnsName("a"), {0}})), "\\# 4 01610000");  // a byte too many
  EXPECT_EQ(with(5, {3, 'a'}), "\\# 2 0361");                       // a name that leaves the record
  EXPECT_EQ(with(5, DnsPointer(100)), "\\# 2 c064");
  EXPECT_EQ(with(16, {5, 'a'}), "\\# 2 0561");
  EXPECT_EQ(with(15, {0}), "\\# 1 00");
  EXPECT_EQ(with(65, Join({Be16(1), {0}, Be16(3), Be16(2), {1}})), "\\# 8 0001000003000201");
  EXPECT_EQ(with(65, Join({Be16(1), {0}, Be16(4), Be16(3), {1, 2, 3}})), "\\# 10 00010000040003010203");
  EXPECT_EQ(with(65, Join({Be16(1), {0}, Be16(1), Be16(2), {9, 'h'}})), "\\# 9 000100000100020968");
  EXPECT_EQ(with(257, {0, 9, 'x'}), "\\# 3 000978");
  EXPECT_EQ(with(5, {}), "");  // an update deletes like this
}

TEST(DnsMessage, BrokenRecords_LeaveWhatWasBeforeThem) {
  const Bytes broken = DnsRecord(DnsPointer(0x3000), 1, 60, {192, 0, 2, 3});
  const Message message = Parsed(DnsResponse(1, "example.com", 1, {DnsAddress(1), broken, DnsAddress(2)}));
  EXPECT_TRUE(message.broken);
  ASSERT_EQ(message.answers.size(), 1u);
  EXPECT_EQ(message.answers[0].text, "192.0.2.1");
  EXPECT_FALSE(Example("a").broken);
  // Without a question there is nothing that tells it from other bytes.
  EXPECT_EQ(VerdictOn(Join({DnsHeader(1, 0x8000, 0, 1), broken})), Verdict::kMalformed);
  EXPECT_EQ(VerdictOn(DnsHeader(1, 0x8000, 0, 1)), Verdict::kMalformed);
  EXPECT_TRUE(Parsed(DnsResponse(1, "example.com", 1, {Bytes(5, 0)})).cut);
}

TEST(DnsMessage, LongTexts_EndAtTheirBound) {
  Bytes strings;
  for (int i = 0; i < 40; ++i) strings = Join({strings, DnsLabel(std::string(200, '\x01'))});
  for (const unsigned type : {16u, 65280u}) {
    const Message message = Parsed(DnsResponse(1, "x", type, {DnsRecord(DnsPointer(12), type, 60, strings)}));
    EXPECT_EQ(message.answers[0].text.size(), 259u);
    EXPECT_EQ(message.answers[0].text.substr(256), "...");
  }
}

TEST(DnsMessage, NoDnsAtAll_IsRefused) {
  EXPECT_EQ(VerdictOn({}), Verdict::kMalformed);
  EXPECT_EQ(VerdictOn(Bytes(11, 0)), Verdict::kMalformed);
  EXPECT_EQ(VerdictOn(DnsHeader(1, 0x7800, 0, 0)), Verdict::kMalformed);  // opcode 15
  EXPECT_EQ(VerdictOn(DnsHeader(1, 0x1800, 0, 0)), Verdict::kMalformed);  // opcode 3
  const std::string text = "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";
  EXPECT_EQ(VerdictOn(Bytes(text.begin(), text.end())), Verdict::kMalformed);
  EXPECT_EQ(VerdictOn(Join({DnsHeader(1, 0, 9, 0), DnsQuestion("a", 1)})), Verdict::kMalformed);  // more than has room
  EXPECT_EQ(VerdictOn(Bytes(500, 0xff)), Verdict::kMalformed);
}

TEST(DnsMessage, EveryPrefixOfGoodOnes_IsCutAndHasWhatIsThere) {
  for (const auto& [name, bytes] : DnsExamples()) {
    const Message whole = Parsed(bytes);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      const Bytes prefix(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
      Message message;
      // The sample is cut: never malformed.
      const Verdict verdict = ParseExactly(prefix, bytes.size(), &message);
      ASSERT_EQ(verdict, size < 12 ? Verdict::kTooShort : Verdict::kMessage) << name << ' ' << size;
      EXPECT_TRUE(message.cut);
      EXPECT_TRUE(!message.question || message.question->name == whole.question->name);
      ASSERT_LE(message.answers.size(), whole.answers.size());
      for (std::size_t i = 0; i < message.answers.size(); ++i)
        EXPECT_EQ(message.answers[i].text, whole.answers[i].text) << name << ' ' << size;
      // The message ends there: whatever is said of it, no harm is done, and it is not called whole. (Lengths that
      // could hold all records, if these were smaller, end within a record.)
      EXPECT_TRUE(ParseExactly(prefix, size, &message) != Verdict::kMessage || message.cut) << name << ' ' << size;
    }
  }
}

TEST(DnsMessage, TruncatedByTheServer_IsReadAsFarAsItGoes) {
  Bytes bytes = DnsResponse(1, "www.example.com", 1, {DnsAddress(1), DnsAddress(2)}, 0x8380);
  EXPECT_TRUE(Parsed(bytes).truncated);
  EXPECT_FALSE(Parsed(bytes).cut);
  bytes.resize(bytes.size() - 7);
  const Message message = Parsed(bytes);
  EXPECT_TRUE(message.truncated && message.cut);
  EXPECT_EQ(message.question->name, "www.example.com");
  EXPECT_EQ(message.answers.size(), 1u);
}

TEST(DnsMessage, EveryByteFlipped_DoesNoHarm) {
  std::size_t messages = 0, malformed = 0;
  for (const auto& [name, bytes] : DnsExamples())
    for (std::size_t at = 0; at < bytes.size(); ++at)
      for (const unsigned flip : {0x01u, 0x40u, 0x80u, 0xc0u, 0xffu}) {
        Bytes other = bytes;
        other[at] ^= static_cast<std::uint8_t>(flip);
        (VerdictOn(other) == Verdict::kMessage ? messages : malformed)++;
      }
  EXPECT_GT(messages, 100u);
  EXPECT_GT(malformed, 100u);
}

TEST(DnsNames, TypesAndRcodes_AreIanas) {
  EXPECT_EQ(DnsTypeName(1), "A");
  EXPECT_EQ(DnsTypeName(28), "AAAA");
  EXPECT_EQ(DnsTypeName(33), "SRV");
  EXPECT_EQ(DnsTypeName(65), "HTTPS");
  EXPECT_EQ(DnsTypeName(255), "ANY");
  EXPECT_EQ(DnsTypeName(257), "CAA");
  EXPECT_EQ(DnsTypeName(0), "TYPE0");
  EXPECT_EQ(DnsTypeName(65280), "TYPE65280");
  EXPECT_EQ(DnsRcodeName(0), "NOERROR");
  EXPECT_EQ(DnsRcodeName(3), "NXDOMAIN");
  EXPECT_EQ(DnsRcodeName(16), "BADVERS");
  EXPECT_EQ(DnsRcodeName(4095), "RCODE4095");
}

}  // namespace
}  // namespace knp::dns
