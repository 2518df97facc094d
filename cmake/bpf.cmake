# knp_add_bpf_object(NAME SOURCE [OUTPUT_DIRECTORY DIR]): compiles a BPF object with clang.
#
# Makes the target NAME, built by default, and the file DIR/NAME.o (DIR: the current binary directory); the target's
# property KNP_BPF_OBJECT holds its path. Our BPF headers are found as "bpf/network_monitor.bpf.h"; an edited header
# rebuilds the object. Debug information is stripped, BTF stays. Used by the build itself and, from the installed
# package, by those who write programs of their own (examples/).

set(knp_clang_names clang)
set(knp_llvm_strip_names llvm-strip)
foreach(version RANGE 22 14 -1)
  list(APPEND knp_clang_names clang-${version})
  list(APPEND knp_llvm_strip_names llvm-strip-${version})
endforeach()
find_program(KNP_BPF_CLANG NAMES ${knp_clang_names} DOC "clang with the BPF target")
find_program(KNP_LLVM_STRIP NAMES ${knp_llvm_strip_names} DOC "llvm-strip")

if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(KNP_BPF_ARCH x86)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(KNP_BPF_ARCH arm64)
else()
  message(FATAL_ERROR "KubeNetProbe's BPF programs are for x86_64 and arm64, not for ${CMAKE_SYSTEM_PROCESSOR}")
endif()

function(knp_add_bpf_object name source)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "OUTPUT_DIRECTORY" "")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "knp_add_bpf_object(${name}): unknown arguments ${arg_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT KNP_BPF_CLANG OR NOT KNP_LLVM_STRIP)
    message(FATAL_ERROR "knp_add_bpf_object(${name}): clang or llvm-strip is missing: apt-get install clang llvm")
  endif()
  if(NOT arg_OUTPUT_DIRECTORY)
    set(arg_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})
  endif()
  get_filename_component(source ${source} ABSOLUTE)
  set(object ${arg_OUTPUT_DIRECTORY}/${name}.o)
  file(MAKE_DIRECTORY ${arg_OUTPUT_DIRECTORY})
  set(multiarch)
  if(CMAKE_LIBRARY_ARCHITECTURE)
    set(multiarch -I/usr/include/${CMAKE_LIBRARY_ARCHITECTURE}) # <asm/types.h>
  endif()
  add_custom_command(
    OUTPUT ${object}
    COMMAND ${KNP_BPF_CLANG} -O2 -g -target bpf -mcpu=v3 -D__TARGET_ARCH_${KNP_BPF_ARCH} -I${KNP_BPF_INCLUDE_DIR}
            ${multiarch} -Wall -Wextra -Werror -MD -MF ${object}.d -MT ${object} -c ${source} -o ${object}
    COMMAND ${KNP_LLVM_STRIP} -g ${object}
    DEPENDS ${source}
    DEPFILE ${object}.d
    COMMENT "BPF object ${name}.o"
    VERBATIM)
  add_custom_target(${name} ALL DEPENDS ${object})
  set_target_properties(${name} PROPERTIES KNP_BPF_OBJECT ${object})
endfunction()
