# Fuzzers: fuzz/NAME_fuzz.cc becomes build-fuzz/bin/NAME_fuzz. The parser's needs headers only, so the library is not
# even compiled for it; the others get what clang can compile of it: libbpf's headers are none of that.
set_target_properties(kubenetprobe PROPERTIES EXCLUDE_FROM_ALL ON)
file(GLOB knp_fuzzed_sources CONFIGURE_DEPENDS src/base/*.cc src/flow/*.cc src/dns/*.cc src/traffic/*.cc src/app/*.cc
     src/replay/byte_source.cc src/replay/capture_reader.cc src/replay/link_layer.cc src/replay/pcap*.cc)
add_library(knp_fuzzed STATIC EXCLUDE_FROM_ALL ${knp_fuzzed_sources})
target_include_directories(knp_fuzzed PUBLIC ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/include)
target_link_libraries(knp_fuzzed PUBLIC ${KNP_NDPI} fmt::fmt absl::status absl::statusor absl::strings absl::flat_hash_map)

file(GLOB knp_fuzzers CONFIGURE_DEPENDS fuzz/*_fuzz.cc)
foreach(source ${knp_fuzzers})
  get_filename_component(name ${source} NAME_WE)
  add_executable(${name} ${source})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  if(name STREQUAL "parse_fuzz")
    target_sources(${name} PRIVATE tests/support/parse_cases.cc)
  elseif(name STREQUAL "app_fuzz")
    file(GLOB knp_app_sources CONFIGURE_DEPENDS src/app/*.cc)
    target_sources(${name} PRIVATE ${knp_app_sources})
    target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/include)
    target_link_libraries(${name} PRIVATE absl::statusor absl::strings absl::flat_hash_map fmt::fmt ndpi)
  elseif(name STREQUAL "kube_fuzz")
    find_package(simdjson REQUIRED)
    file(GLOB knp_kube_sources CONFIGURE_DEPENDS src/base/types.cc src/identity/*.cc src/identity/kube/decode*.cc
         src/identity/kube/fields.cc)
    target_sources(${name} PRIVATE ${knp_kube_sources})
    target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/include)
    target_link_libraries(${name} PRIVATE simdjson::simdjson absl::statusor absl::strings absl::flat_hash_map
                                          absl::inlined_vector fmt::fmt Threads::Threads)
  else()
    target_link_libraries(${name} PRIVATE knp_fuzzed)
  endif()
endforeach()
