// One message of the name service (RFC 1035, RFC 6891) taken apart: what was asked, what was answered. Fed with
// payloads that anyone may have written; read by the tracker. Nothing it returns is longer than its bounds, and all
// text is printable ASCII.
#ifndef KNP_DNS_MESSAGE_H_
#define KNP_DNS_MESSAGE_H_

#include <knp/flow_record.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace knp::dns {

// IANA's numbers of what the code itself has to tell apart.
inline constexpr std::uint16_t kTypeA = 1, kTypeCname = 5, kTypeAaaa = 28, kTypeOpt = 41;
inline constexpr std::uint16_t kClassIn = 1;
inline constexpr std::uint8_t kOpcodeQuery = 0;

inline constexpr std::size_t kMaxAnswers = 16;

struct Question {
  std::string name;  // see Reader::Name
  std::uint16_t type = 0;
  std::uint16_t rr_class = 0;
};

struct Answer {
  std::string owner;
  std::uint16_t type = 0;
  std::uint16_t rr_class = 0;
  std::uint32_t ttl_s = 0;
  std::string text;                  // what it says, as a zone file would write it
  std::optional<IpAddress> address;  // A and AAAA
};

struct Message {
  std::uint16_t id = 0;
  bool response = false;  // QR
  std::uint8_t opcode = 0;
  bool truncated = false;            // TC
  std::uint16_t rcode = 0;           // with the upper bits of OPT, if that was seen
  std::optional<Question> question;  // the first one
  std::vector<Answer> answers;       // the first ones of the answer section, at most kMaxAnswers
  // The bytes end before the message does: what stands here was there.
  bool cut = false;
  // A record that cannot be: what stands here was before it.
  bool broken = false;
};

enum class Verdict : std::uint8_t {
  kMessage,
  kTooShort,   // cut before the header's end: could be anything
  kMalformed,  // no DNS message begins like this
};

// `length` is the message's, more than `data` has if that was cut. What begins with a header and good questions is a
// message, whatever its records are; without a question these have to be right, too.
Verdict Parse(std::span<const std::uint8_t> data, std::size_t length, Message* message);

}  // namespace knp::dns

#endif  // KNP_DNS_MESSAGE_H_
