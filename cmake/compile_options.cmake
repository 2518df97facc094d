# Language level, warnings and sanitizers of everything that is compiled for the host. BPF objects: cmake/bpf.cmake.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Debug, Release, RelWithDebInfo, MinSizeRel" FORCE)
endif()

find_program(KNP_CCACHE ccache)
if(KNP_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${KNP_CCACHE})
endif()

add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wshadow;-Wpedantic;-Werror>")

if(KNP_SANITIZE STREQUAL "address")
  set(knp_sanitizers -fsanitize=address,undefined -fno-sanitize-recover=all)
elseif(KNP_SANITIZE STREQUAL "thread")
  set(knp_sanitizers -fsanitize=thread)
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
