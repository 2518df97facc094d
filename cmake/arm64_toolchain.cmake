# Cross-compiles user space for arm64 Linux: -DKNP_ARM64_SYSROOT=DIR names a root with arm64's libraries and headers.
# tools/vm/arm64 makes such a root and configures with the preset "arm64"; ctest runs the results under qemu-user.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)

list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES KNP_ARM64_SYSROOT)
if(NOT EXISTS "${KNP_ARM64_SYSROOT}/usr/include/${CMAKE_LIBRARY_ARCHITECTURE}")
  message(FATAL_ERROR "KNP_ARM64_SYSROOT is '${KNP_ARM64_SYSROOT}': no arm64 root with headers; tools/vm/arm64 makes one")
endif()
set(CMAKE_SYSROOT ${KNP_ARM64_SYSROOT})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

# pkg-config looks nowhere else, and puts the root before the paths that it tells.
set(ENV{PKG_CONFIG_PATH} "")
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${CMAKE_SYSROOT})
set(ENV{PKG_CONFIG_LIBDIR} ${CMAKE_SYSROOT}/usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/pkgconfig:${CMAKE_SYSROOT}/usr/share/pkgconfig)

find_program(KNP_QEMU_ARM64 NAMES qemu-aarch64-static qemu-aarch64)
if(KNP_QEMU_ARM64)
  set(CMAKE_CROSSCOMPILING_EMULATOR ${KNP_QEMU_ARM64} -L ${CMAKE_SYSROOT})
endif()
