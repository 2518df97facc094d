# Test programs by what they need: unit nothing, bpf root and BPF_PROG_TEST_RUN, netns root and a veth rig, e2e the built
# programs. `ctest -L unit` runs one kind; `./dev test` runs all, and counts cases.
enable_testing()

file(GLOB knp_test_support CONFIGURE_DEPENDS tests/support/*.cc)
if(knp_test_support)
  add_library(knp_test_support STATIC EXCLUDE_FROM_ALL ${knp_test_support})
  target_include_directories(knp_test_support PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(knp_test_support PUBLIC kubenetprobe GTest::gtest fmt::fmt absl::strings absl::flat_hash_map
                                                PkgConfig::KNP_LIBBPF Threads::Threads)
endif()
knp_add_bpf_folder(tests/bpf knp_test_objects)

function(knp_add_gtest name label pattern)
  file(GLOB sources CONFIGURE_DEPENDS ${pattern})
  if(NOT sources)
    return()
  endif()
  add_executable(${name} EXCLUDE_FROM_ALL ${sources}) # a plain build stays short; ./dev test names them
  knp_precompile(${name} <gtest/gtest.h>)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_definitions(${name} PRIVATE KNP_BUILD_DIR="${PROJECT_BINARY_DIR}" KNP_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
                                             KNP_OBJECT_FILE="${KNP_OBJECT_FILE}")
  target_link_libraries(
    ${name}
    PRIVATE kubenetprobe absl::flat_hash_map absl::strings fmt::fmt PkgConfig::KNP_LIBBPF GTest::gtest GTest::gmock
            GTest::gtest_main Threads::Threads)
  foreach(library knp_cli knp_test_support ${ARGN})
    if(TARGET ${library})
      target_link_libraries(${name} PRIVATE ${library})
    endif()
  endforeach()
  if(knp_test_objects)
    add_dependencies(${name} ${knp_test_objects})
  endif()
  set(launcher)
  if(KNP_SANITIZE STREQUAL "thread")
    set(launcher setarch -R) # TSAN's shadow does not tolerate the address-space randomisation of newer kernels
  endif()
  add_test(NAME ${name} COMMAND ${launcher} $<TARGET_FILE:${name}>)
  set_tests_properties(${name} PROPERTIES LABELS ${label} TIMEOUT 900)
endfunction()

knp_add_gtest(knp_unit_tests unit "tests/unit/*_test.cc")
knp_add_gtest(knp_agent_tests unit "tests/agent/*.cc" knp_remote knp_agent knp_identity knp_hubble knp_proto) # helpers, too
if(TARGET knp_agent_tests)
  pkg_check_modules(KNP_SSL REQUIRED IMPORTED_TARGET openssl zlib) # servers of the tests' own
  target_link_libraries(knp_agent_tests PRIVATE PkgConfig::KNP_SSL)
endif()
knp_add_gtest(knp_bpf_tests bpf "tests/bpf/*_bpf_test.cc")
knp_add_gtest(knp_netns_tests netns "tests/netns/*_netns_test.cc")

file(GLOB knp_e2e_tests CONFIGURE_DEPENDS tests/e2e/*_e2e_test.py)
foreach(source ${knp_e2e_tests})
  get_filename_component(name ${source} NAME_WE)
  add_test(NAME ${name} COMMAND ${KNP_PYTHON} ${source})
  set_tests_properties(${name} PROPERTIES LABELS e2e TIMEOUT 600 SKIP_RETURN_CODE 77 RUN_SERIAL ON
                                          ENVIRONMENT "KNP_BUILD_DIR=${PROJECT_BINARY_DIR}")
endforeach()

# Measures the classifier on captures that are not part of this repository: tests/app_accuracy/app_accuracy.py.
add_executable(knp_classify_samples EXCLUDE_FROM_ALL tests/app_accuracy/classify_samples.cc)
target_include_directories(knp_classify_samples PRIVATE ${PROJECT_SOURCE_DIR})
target_link_libraries(knp_classify_samples PRIVATE kubenetprobe fmt::fmt)
