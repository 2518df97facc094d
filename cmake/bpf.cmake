# knp_add_bpf_object(NAME SOURCE [OUTPUT_DIRECTORY DIR] [CURRENT_ONLY]): compiles a BPF object with clang.
#
# Makes the target NAME, built by default, and the files DIR/NAME.o and DIR/NAME-4.18.o (DIR: the current binary directory),
# the same program for older kernels; the library takes the one that the kernel can run (CreateFromObjectFile with NAME.o's
# path). The target's properties KNP_BPF_OBJECT and KNP_BPF_OBJECT_4_18 hold their paths. CURRENT_ONLY leaves the second
# out, for programs that cannot do without what is younger. Our BPF headers are found as "bpf/network_monitor.bpf.h"; an edited header
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
  cmake_parse_arguments(PARSE_ARGV 2 arg "CURRENT_ONLY" "OUTPUT_DIRECTORY" "")
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
  file(MAKE_DIRECTORY ${arg_OUTPUT_DIRECTORY})
  set(multiarch)
  if(CMAKE_SYSROOT) # cross-compiling: the kernel's and libbpf's headers of the machine that will run it
    list(APPEND multiarch --sysroot=${CMAKE_SYSROOT})
  endif()
  if(CMAKE_LIBRARY_ARCHITECTURE)
    list(APPEND multiarch -I${CMAKE_SYSROOT}/usr/include/${CMAKE_LIBRARY_ARCHITECTURE}) # <asm/types.h>
  endif()
  # Of our own build only: does it still fit its kernels?
  if(KNP_CHECK_BPF_OBJECT)
    set(current_since 5.8)
    if(KNP_BPF_ARCH STREQUAL "arm64")
      set(current_since 5.12) # for its store barrier
    endif()
    set(check_current COMMAND ${KNP_CHECK_BPF_OBJECT} --quiet --kernel ${current_since} ${arg_OUTPUT_DIRECTORY}/${name}.o)
    set(check_4.18 COMMAND ${KNP_CHECK_BPF_OBJECT} --quiet --kernel 4.18 ${arg_OUTPUT_DIRECTORY}/${name}-4.18.o)
  endif()
  # The two variants of bpf/lib/variant.h, and the instructions that their kernels know.
  set(current_flags -mcpu=v3)
  set(4.18_flags -mcpu=v2 -DKNP_VARIANT_4_18)
  set(objects)
  set(variants current)
  if(NOT arg_CURRENT_ONLY)
    list(APPEND variants 4.18)
  endif()
  foreach(variant ${variants})
    set(object ${arg_OUTPUT_DIRECTORY}/${name}-${variant}.o)
    if(variant STREQUAL "current")
      set(object ${arg_OUTPUT_DIRECTORY}/${name}.o)
    endif()
    add_custom_command(
      OUTPUT ${object}
      COMMAND ${KNP_BPF_CLANG} -O2 -g -target bpf ${${variant}_flags} -D__TARGET_ARCH_${KNP_BPF_ARCH}
              -I${KNP_BPF_INCLUDE_DIR} ${multiarch} -Wall -Wextra -Werror -MD -MF ${object}.d -MT ${object} -c ${source}
              -o ${object}
      COMMAND ${KNP_LLVM_STRIP} -g ${object}
      ${check_${variant}}
      DEPENDS ${source}
      DEPFILE ${object}.d
      COMMENT "BPF object ${object}"
      VERBATIM)
    list(APPEND objects ${object})
  endforeach()
  add_custom_target(${name} ALL DEPENDS ${objects})
  list(GET objects 0 object)
  set_target_properties(${name} PROPERTIES KNP_BPF_OBJECT ${object})
  if(NOT arg_CURRENT_ONLY)
    list(GET objects 1 object_4_18)
    set_target_properties(${name} PROPERTIES KNP_BPF_OBJECT_4_18 ${object_4_18})
  endif()
endfunction()
