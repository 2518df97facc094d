// See message.h.
#include "src/dns/message.h"

#include "src/dns/reader.h"
#include "src/dns/record_text.h"

namespace knp::dns {
namespace {

constexpr std::uint16_t kQr = 0x8000, kTc = 0x0200, kRcodeMask = 0x000f;
constexpr std::size_t kLeastQuestion = 5;  // with the root's name

struct Header {
  std::uint16_t id = 0, flags = 0, questions = 0, answers = 0, authorities = 0, additionals = 0;
};

bool KnownOpcode(std::uint8_t opcode) { return opcode <= 6 && opcode != 3; }

// What a record has before its data.
struct RecordHead {
  std::uint16_t type = 0, rr_class = 0, size = 0;
  std::uint32_t ttl_s = 0;
};

Outcome ReadHead(Reader* reader, RecordHead* head) {
  if (reader->left() < 10) return Outcome::kShort;
  reader->Number16(&head->type);
  reader->Number16(&head->rr_class);
  reader->Number32(&head->ttl_s);
  reader->Number16(&head->size);
  return reader->left() < head->size ? Outcome::kShort : Outcome::kOk;
}

Outcome ReadAnswer(Reader* reader, Message* message) {
  if (message->answers.size() == kMaxAnswers) {
    if (const Outcome outcome = reader->SkipName(); outcome != Outcome::kOk) return outcome;
    RecordHead head;
    if (const Outcome outcome = ReadHead(reader, &head); outcome != Outcome::kOk) return outcome;
    reader->Skip(head.size);
    return Outcome::kOk;
  }
  Answer answer;
  if (const Outcome outcome = reader->Name(&answer.owner); outcome != Outcome::kOk) return outcome;
  RecordHead head;
  if (const Outcome outcome = ReadHead(reader, &head); outcome != Outcome::kOk) return outcome;
  answer.type = head.type;
  answer.rr_class = head.rr_class;
  answer.ttl_s = head.ttl_s;
  ReadRecordText(reader, head.type, head.size, &answer.text, &answer.address);
  message->answers.push_back(std::move(answer));
  return Outcome::kOk;
}

Outcome SkipRecord(Reader* reader, Message* message, bool additional) {
  if (const Outcome outcome = reader->SkipName(); outcome != Outcome::kOk) return outcome;
  RecordHead head;
  const Outcome outcome = ReadHead(reader, &head);
  if (outcome != Outcome::kOk) return outcome;
  if (additional && head.type == kTypeOpt)  // RFC 6891, 6.1.3
    message->rcode = static_cast<std::uint16_t>((head.ttl_s >> 24) << 4 | (message->rcode & kRcodeMask));
  reader->Skip(head.size);
  return Outcome::kOk;
}

Outcome ReadQuestions(Reader* reader, std::uint16_t questions, Message* message) {
  for (std::uint32_t i = 0; i < questions; ++i) {
    Question question;
    if (const Outcome outcome = i == 0 ? reader->Name(&question.name) : reader->SkipName(); outcome != Outcome::kOk)
      return outcome;
    if (reader->left() < 4) return Outcome::kShort;
    reader->Number16(&question.type);
    reader->Number16(&question.rr_class);
    if (i == 0) message->question = std::move(question);
  }
  return Outcome::kOk;
}

Outcome ReadRecords(Reader* reader, const Header& header, Message* message) {
  for (std::uint32_t i = 0; i < header.answers; ++i)
    if (const Outcome outcome = ReadAnswer(reader, message); outcome != Outcome::kOk) return outcome;
  for (std::uint32_t i = 0; i < std::uint32_t{header.authorities} + header.additionals; ++i)
    if (const Outcome outcome = SkipRecord(reader, message, i >= header.authorities); outcome != Outcome::kOk)
      return outcome;
  return Outcome::kOk;
}

}  // namespace

Verdict Parse(std::span<const std::uint8_t> data, std::size_t length, Message* message) {
  *message = {};
  message->cut = data.size() < length;
  Reader reader(data);
  if (data.size() < kHeaderSize) return length < kHeaderSize ? Verdict::kMalformed : Verdict::kTooShort;
  Header header;
  for (std::uint16_t* field :
       {&header.id, &header.flags, &header.questions, &header.answers, &header.authorities, &header.additionals})
    reader.Number16(field);
  message->id = header.id;
  message->response = header.flags & kQr;
  message->opcode = header.flags >> 11 & 0xf;
  message->truncated = header.flags & kTc;
  message->rcode = header.flags & kRcodeMask;
  if (!KnownOpcode(message->opcode)) return Verdict::kMalformed;
  if (kHeaderSize + header.questions * kLeastQuestion > length) return Verdict::kMalformed;

  const bool may_end_early = message->cut || message->truncated;
  Outcome outcome = ReadQuestions(&reader, header.questions, message);
  if (outcome == Outcome::kBad || (outcome == Outcome::kShort && !may_end_early)) return Verdict::kMalformed;
  if (outcome == Outcome::kOk) outcome = ReadRecords(&reader, header, message);
  // A good question is what tells DNS from other bytes; without one, all the rest has to be right.
  if (!message->question && (outcome == Outcome::kBad || (outcome == Outcome::kShort && !may_end_early)))
    return Verdict::kMalformed;
  message->broken = outcome == Outcome::kBad;
  message->cut |= outcome == Outcome::kShort;
  return Verdict::kMessage;
}

}  // namespace knp::dns
