// What conversations cost in user space: memory of each, and how many records a second are merged into them.
#ifndef KNP_BENCH_CONVERSATIONS_H_
#define KNP_BENCH_CONVERSATIONS_H_

namespace knp::bench {

struct ConversationResult {
  double bytes_each = 0;                 // of a million that are live, in resident memory
  double merged_per_second = 0;          // records of the default's 65,536, in random order
  double merged_per_second_million = 0;  // of the million
  double ns_a_record_told = 0;           // to make a FlowRecord of a live one
};

// In a process of its own: its memory is what is measured.
void MeasureConversations(ConversationResult* result);

}  // namespace knp::bench

#endif  // KNP_BENCH_CONVERSATIONS_H_
