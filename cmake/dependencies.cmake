# Libraries of the distribution; the names of their packages are in ./dev (apt_packages).
find_package(PkgConfig REQUIRED)
pkg_check_modules(KNP_LIBBPF REQUIRED IMPORTED_TARGET libbpf>=1.1 libelf zlib)
# Not by pkg-config, whose file asks for libgcrypt, too: the shared library brings its own.
find_library(KNP_NDPI ndpi REQUIRED)
find_path(KNP_NDPI_INCLUDE_DIR ndpi/ndpi_api.h REQUIRED)
find_package(absl REQUIRED)
find_package(fmt REQUIRED)
find_package(Threads REQUIRED)
find_program(KNP_PYTHON NAMES python3 REQUIRED)
set(KNP_CHECK_BPF_OBJECT ${KNP_PYTHON} ${PROJECT_SOURCE_DIR}/tools/check_bpf_object.py) # for cmake/bpf.cmake

if(NOT KNP_FUZZ)
  find_package(CLI11 REQUIRED)
  find_package(nlohmann_json REQUIRED)
  pkg_check_modules(KNP_CRYPTO REQUIRED IMPORTED_TARGET libcrypto)
  pkg_check_modules(KNP_PROMETHEUS REQUIRED IMPORTED_TARGET prometheus-cpp-core)
  if(KNP_TESTS)
    find_package(GTest REQUIRED)
  endif()
endif()
