// See user_space.cc.
#ifndef KNP_BENCH_USER_SPACE_H_
#define KNP_BENCH_USER_SPACE_H_

#include <cstdint>
#include <string>

namespace knp::bench {

struct UserSpaceResult {
  double ns_a_record = 0;           // reading, merging, reporting
  double empty_scan_us = 0;         // one look at every slot of the table, nothing new
  double new_flows_per_second = 0;  // highest rate of the ramp without a loss
  double offered_at_that = 0;
  double reader_cpu = 0;        // share of one CPU that user space used at that rate
  double peak_rss_mib = 0;      // of the process, table and ring included
  double kernel_mib = 0;        // table and ring alone
  double ns_a_sample = 0;       // a payload sample classified, of a mix of protocols
  double ns_a_hard_sample = 0;  // of flows in which nothing known is found
  double classifier_mib = 0;    // what the classifier takes before the first sample
};

// What a record costs. Leaves memory behind: not in the process whose memory is measured.
void MeasureRecords(const std::string& floors_path, UserSpaceResult* result);
// What it costs to tell applications by payloads.
void MeasureClassifier(const std::string&, UserSpaceResult* result);
// The rest.
void MeasureLoad(const std::string& floors_path, UserSpaceResult* result);

}  // namespace knp::bench

#endif  // KNP_BENCH_USER_SPACE_H_
