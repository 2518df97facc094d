# Language level, warnings and sanitizers of everything that is compiled for the host. BPF objects: cmake/bpf.cmake.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Debug, Release, RelWithDebInfo, MinSizeRel" FORCE)
endif()

# Line tables are enough for a backtrace and compile a fifth faster; the preset "debug" has the rest.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1 -DNDEBUG")
if(KNP_SANITIZE)
  # Asserts stay in. NDEBUG_SANITIZER: else Abseil lays out its tables otherwise than the distribution's library does.
  set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-Og -g1 -DNDEBUG_SANITIZER") # a third less to compile than -O1
endif()

find_program(KNP_CCACHE ccache)
if(KNP_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${KNP_CCACHE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fpch-preprocess>) # ccache needs to see which one is used
  endif()
endif()

# What nearly every file includes, compiled once a target: halves the build. Off in the preset "tsan" and for clang-tidy,
# so that a file which forgets an include does not get by.
function(knp_precompile target)
  if(KNP_PCH)
    target_precompile_headers(
      ${target} PRIVATE <absl/status/statusor.h> <fmt/format.h> <algorithm> <chrono> <functional> <map> <memory>
      <optional> <string> <vector> ${ARGN})
  endif()
endfunction()

add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wshadow;-Wpedantic;-Werror>")
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # GCC 12 sees overlaps and overruns in inlined std::string that are not there (GCC bugs 105329, 105651).
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:-Wno-array-bounds;-Wno-restrict;-Wno-stringop-overflow;-Wno-stringop-overread>")
endif()

if(KNP_SANITIZE STREQUAL "address")
  set(knp_sanitizers -fsanitize=address,undefined -fno-sanitize-recover=all)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # With these, GCC does not take "this function's address is not null" for a constant, and newer Abseil's headers do
    # not compile (GCC bug 71962). ASAN sees null pointers used all the same.
    list(APPEND knp_sanitizers -fno-sanitize=null,nonnull-attribute,returns-nonnull-attribute)
  endif()
elseif(KNP_SANITIZE STREQUAL "thread")
  set(knp_sanitizers -fsanitize=thread)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # TSAN does not understand fences. Ours order reads of what the kernel writes, which it does not see anyway.
    list(APPEND knp_sanitizers -Wno-tsan)
  endif()
elseif(KNP_SANITIZE)
  message(FATAL_ERROR "KNP_SANITIZE is '${KNP_SANITIZE}': use address or thread")
endif()

if(KNP_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "KNP_FUZZ needs libFuzzer: configure with clang, -DCMAKE_CXX_COMPILER=clang++")
  endif()
  set(knp_sanitizers -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all)
endif()

if(knp_sanitizers)
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:-fno-omit-frame-pointer;${knp_sanitizers}>")
  add_link_options(${knp_sanitizers})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # GCC takes the sanitizers' own bookkeeping for uses of uninitialised memory (GCC bug 105562).
    add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-Wno-maybe-uninitialized>)
  endif()
endif()
