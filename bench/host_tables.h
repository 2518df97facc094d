// The part of docs/performance.md that is about the host's pieces: measured, and written as text.
#ifndef KNP_BENCH_HOST_TABLES_H_
#define KNP_BENCH_HOST_TABLES_H_

#include <string>

namespace knp::bench {

std::string HostTables(const std::string& floors_path);

}  // namespace knp::bench

#endif  // KNP_BENCH_HOST_TABLES_H_
