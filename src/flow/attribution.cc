// See attribution.h.
#include "src/flow/attribution.h"

namespace knp::flow {
namespace {

// Lower is better.
int RankOf(const Sight& sight, Vantage vantage) {
  switch (vantage) {
    case Vantage::kWorkload: return sight.egress ? 1 : 0;
    case Vantage::kNode: return 2;
    case Vantage::kInner: return 3;
  }
  return 3;
}

// All that one hook of one interface counted in one sense.
Count SumLike(const Conversation& c, const Sight& like, const Places& places) {
  Count sum;
  const std::string& name = places.name(like.interface);
  for (const Sight& sight : c.sights)
    if (sight.forward == like.forward && sight.egress == like.egress &&
        (sight.interface == like.interface || places.name(sight.interface) == name))
      sum += sight.total;
  return sum;
}

Count CountOf(const Conversation& c, const Places& places, bool forward, bool bypassed, bool* now_bypassed) {
  const Sight *best = nullptr, *node = nullptr;
  int best_rank = 0;
  const std::string& first = places.name(c.sights.front().interface);
  for (const Sight& sight : c.sights) {
    if ((sight.forward != 0) != forward) continue;
    const Vantage vantage = places.vantage ? places.vantage(sight.interface) : Vantage::kNode;
    const int rank = RankOf(sight, vantage) * 2 + static_cast<int>(places.name(sight.interface) != first);
    if (!best || rank < best_rank) {
      best = &sight;
      best_rank = rank;
    }
    if (!node && vantage == Vantage::kNode) node = &sight;
  }
  if (!best) return {};
  const Count count = SumLike(c, *best, places);
  if (!node || best_rank / 2 >= 2) return count;
  const Count at_node = SumLike(c, *node, places);
  *now_bypassed = bypassed || count.packets * 2 < at_node.packets;
  return *now_bypassed && at_node.packets > count.packets ? at_node : count;
}

}  // namespace

Attribution Attribute(Conversation* c, const Places& places) {
  if (c->sights.empty()) return {};
  // The common case: one interface, one hook for each sense.
  if (c->sights.size() == 1)
    return c->sights[0].forward ? Attribution{c->sights[0].total, {}} : Attribution{{}, c->sights[0].total};
  bool sent = c->bypassed_sent, received = c->bypassed_received;
  const Attribution result{CountOf(*c, places, true, sent, &sent), CountOf(*c, places, false, received, &received)};
  c->bypassed_sent = sent;
  c->bypassed_received = received;
  return result;
}

}  // namespace knp::flow
