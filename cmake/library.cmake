# libkubenetprobe with the BPF objects inside it, and they themselves as build/lib/network-monitor{,-4.18}.o.
knp_add_bpf_object(network-monitor bpf/network_monitor.bpf.c OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)
get_target_property(KNP_OBJECT_FILE network-monitor KNP_BPF_OBJECT)
get_target_property(KNP_OBJECT_FILE_4_18 network-monitor KNP_BPF_OBJECT_4_18)
knp_add_bpf_object(replay bpf/replay.bpf.c OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib CURRENT_ONLY)
get_target_property(KNP_REPLAY_OBJECT_FILE replay KNP_BPF_OBJECT)
# Beside the data plane, each on request only.
knp_add_bpf_object(mitigation bpf/mitigation.bpf.c OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)
get_target_property(KNP_MITIGATION_OBJECT_FILE mitigation KNP_BPF_OBJECT)
get_target_property(KNP_MITIGATION_OBJECT_FILE_4_18 mitigation KNP_BPF_OBJECT_4_18)
knp_add_bpf_object(capture bpf/capture.bpf.c OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib CURRENT_ONLY)
get_target_property(KNP_CAPTURE_OBJECT_FILE capture KNP_BPF_OBJECT)
knp_add_bpf_object(sockets bpf/sockets.bpf.c OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib CURRENT_ONLY)
get_target_property(KNP_SOCKETS_OBJECT_FILE sockets KNP_BPF_OBJECT)
knp_add_bpf_object(drops bpf/drops.bpf.c OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib CURRENT_ONLY)
get_target_property(KNP_DROPS_OBJECT_FILE drops KNP_BPF_OBJECT)
configure_file(cmake/embedded_object.S.in embedded_object.S @ONLY)
set_source_files_properties(${PROJECT_BINARY_DIR}/embedded_object.S PROPERTIES OBJECT_DEPENDS "${KNP_OBJECT_FILE};${KNP_OBJECT_FILE_4_18};${KNP_REPLAY_OBJECT_FILE};${KNP_MITIGATION_OBJECT_FILE};${KNP_MITIGATION_OBJECT_FILE_4_18};${KNP_CAPTURE_OBJECT_FILE};${KNP_SOCKETS_OBJECT_FILE};${KNP_DROPS_OBJECT_FILE}")

file(GLOB knp_sources CONFIGURE_DEPENDS src/base/*.cc src/datapath/*.cc src/flow/*.cc src/dns/*.cc src/app/*.cc src/traffic/*.cc
     src/replay/*.cc src/detect/*.cc src/detect/*/*.cc src/export/pcapng/*.cc
     src/host/*.cc src/host/*/*.cc src/monitor/*.cc)
add_library(kubenetprobe ${knp_sources} ${PROJECT_BINARY_DIR}/embedded_object.S)
add_library(KubeNetProbe::kubenetprobe ALIAS kubenetprobe)
add_dependencies(kubenetprobe network-monitor replay mitigation capture sockets drops)
set_target_properties(kubenetprobe PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
knp_precompile(kubenetprobe)
target_compile_features(kubenetprobe PUBLIC cxx_std_20)
target_include_directories(
  kubenetprobe
  PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
  PRIVATE ${PROJECT_SOURCE_DIR})
target_link_libraries(
  kubenetprobe
  PUBLIC absl::status absl::statusor
  PRIVATE absl::flat_hash_map absl::strings fmt::fmt PkgConfig::KNP_LIBBPF ndpi Threads::Threads)
