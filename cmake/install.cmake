# What an installation holds: library, headers, BPF headers, knp, the BPF object, the CMake package.
include(CMakePackageConfigHelpers)
set(knp_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/KubeNetProbe)
set(knp_bpf_headers ${CMAKE_INSTALL_INCLUDEDIR}/knp/bpf-src)
set(knp_object_dir ${CMAKE_INSTALL_LIBDIR}/kubenetprobe)

install(TARGETS kubenetprobe EXPORT KubeNetProbeTargets)
foreach(program knp knp-agent)
  if(TARGET ${program})
    install(TARGETS ${program})
  endif()
endforeach()
install(DIRECTORY include/knp TYPE INCLUDE FILES_MATCHING PATTERN "*.h")
install(DIRECTORY abi bpf DESTINATION ${knp_bpf_headers} FILES_MATCHING PATTERN "*.h")
install(FILES ${KNP_OBJECT_FILE} ${KNP_OBJECT_FILE_4_18} DESTINATION ${knp_object_dir})

install(EXPORT KubeNetProbeTargets NAMESPACE KubeNetProbe:: DESTINATION ${knp_package_dir})
configure_package_config_file(
  cmake/KubeNetProbeConfig.cmake.in ${PROJECT_BINARY_DIR}/KubeNetProbeConfig.cmake
  INSTALL_DESTINATION ${knp_package_dir}
  PATH_VARS knp_bpf_headers knp_object_dir)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/KubeNetProbeConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/KubeNetProbeConfig.cmake ${PROJECT_BINARY_DIR}/KubeNetProbeConfigVersion.cmake
              cmake/bpf.cmake DESTINATION ${knp_package_dir})
