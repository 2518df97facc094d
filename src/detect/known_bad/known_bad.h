// anomaly.known_bad: contacts with addresses on the user's list. One alert an entry of the list and way: with what it reached
// of ours, or with what ours asked of it.
//
// Bounded: kMostTracked entries that are told of, 16 peers of ours each; besides the list itself.
#ifndef KNP_DETECT_KNOWN_BAD_KNOWN_BAD_H_
#define KNP_DETECT_KNOWN_BAD_KNOWN_BAD_H_

#include <absl/container/flat_hash_map.h>

#include <memory>
#include <string>
#include <vector>

#include "src/base/address_hash.h"
#include "src/base/address_list.h"
#include "src/detect/alert_book.h"
#include "src/detect/detector.h"

namespace knp::detect {

class KnownBad : public Detector {
 public:
  static constexpr std::size_t kMostTracked = 1024;

  explicit KnownBad(AlertBook* alerts) : alerts_(*alerts) {}

  void OnStage(const Contact& contact, Stage before) override;
  void OnCarried(const Contact& contact, const Carried& carried) override;
  void OnKnownBad(const std::shared_ptr<const AddressList>& list) override { list_ = list; }
  void Advance(std::uint64_t mono_ns) override;
  void Finish(std::uint64_t mono_ns) override { Advance(mono_ns); }

 private:
  struct Key {
    Prefix entry;
    bool asked_by_it = false;  // the listed address is the client
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const {
      return HashOf(key.entry.address, key.entry.length * 2u + key.asked_by_it);
    }
  };
  struct Peer {
    Endpoint ours, listed;
  };
  struct Track {
    std::string label;
    std::vector<Peer> peers;  // the first kMostPeers
    std::uint64_t contacts = 0, flows_completed = 0;
    Count to_it, from_it;
    int severity = -1;
    std::uint64_t first_mono_ns = 0, last_mono_ns = 0;
    bool changed = false;
  };

  Track* Find(const Contact& contact, bool client_is_listed);
  void Note(const Contact& contact, Track* track, bool client_is_listed);
  void Tell(const Key& key, const Track& track, std::uint64_t mono_ns);

  AlertBook& alerts_;
  std::shared_ptr<const AddressList> list_;
  absl::flat_hash_map<Key, Track, KeyHash> tracks_;
  std::uint64_t untracked_ = 0;
};

std::unique_ptr<Detector> MakeKnownBad(const Surroundings& surroundings);

}  // namespace knp::detect

#endif  // KNP_DETECT_KNOWN_BAD_KNOWN_BAD_H_
