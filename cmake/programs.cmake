# knp, the examples and the benchmark. Folders that are not there yet are passed over.
file(GLOB knp_cli_sources CONFIGURE_DEPENDS src/cli/*.cc src/cli/remote/remote_options.cc src/export/*.cc src/export/*/*.cc)
list(FILTER knp_cli_sources EXCLUDE REGEX "/src/export/(pcapng|hubble)/") # the library's, the agent's
if(knp_cli_sources)
  add_library(knp_cli STATIC ${knp_cli_sources})
  knp_precompile(knp_cli)
  target_include_directories(knp_cli PUBLIC ${PROJECT_SOURCE_DIR})
  target_compile_definitions(knp_cli PRIVATE KNP_VERSION="${PROJECT_VERSION}")
  target_link_libraries(knp_cli PUBLIC kubenetprobe nlohmann_json::nlohmann_json CLI11::CLI11 PkgConfig::KNP_PROMETHEUS PkgConfig::KNP_CRYPTO fmt::fmt absl::strings
                                       absl::flat_hash_map Threads::Threads)
endif()

# NAME.bpf.c of a folder becomes build/lib/FOLDER/NAME.o. Further arguments go to knp_add_bpf_object.
function(knp_add_bpf_folder folder out_targets)
  file(GLOB sources CONFIGURE_DEPENDS ${folder}/*.bpf.c)
  set(targets)
  foreach(source ${sources})
    get_filename_component(name ${source} NAME)
    string(REPLACE ".bpf.c" "" name ${name})
    knp_add_bpf_object(${name} ${source} OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib/${folder} ${ARGN})
    list(APPEND targets ${name})
  endforeach()
  set(${out_targets} ${targets} PARENT_SCOPE)
endfunction()

if(KNP_EXAMPLES)
  knp_add_bpf_folder(examples knp_example_objects)
  file(GLOB knp_examples CONFIGURE_DEPENDS examples/*.cc)
  foreach(source ${knp_examples})
    get_filename_component(name ${source} NAME_WE)
    add_executable(example_${name} ${source})
    # Only what an installed package offers: an example that needs more is no example.
    target_link_libraries(example_${name} PRIVATE KubeNetProbe::kubenetprobe)
    set_target_properties(example_${name} PROPERTIES OUTPUT_NAME ${name} RUNTIME_OUTPUT_DIRECTORY
                                                     ${PROJECT_BINARY_DIR}/bin/examples)
  endforeach()
endif()

file(GLOB knp_bench_sources CONFIGURE_DEPENDS bench/*.cc)
if(KNP_BENCH AND knp_bench_sources)
  knp_add_bpf_folder(bench knp_bench_objects CURRENT_ONLY)
  add_executable(knp_bench EXCLUDE_FROM_ALL ${knp_bench_sources})
  target_include_directories(knp_bench PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_definitions(knp_bench PRIVATE KNP_BUILD_DIR="${PROJECT_BINARY_DIR}"
                                               KNP_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_link_libraries(knp_bench PRIVATE kubenetprobe absl::flat_hash_map absl::strings fmt::fmt
                                          PkgConfig::KNP_LIBBPF Threads::Threads)
  if(knp_bench_objects)
    add_dependencies(knp_bench ${knp_bench_objects})
  endif()
endif()
