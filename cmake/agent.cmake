# knp-agent: identity from Kubernetes, the Hubble API, metrics, control; and knp, which asks it. Folders that are not there yet are passed over.
find_package(Protobuf REQUIRED)
find_package(simdjson REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(spdlog REQUIRED)
pkg_check_modules(KNP_GRPC REQUIRED IMPORTED_TARGET grpc++)
pkg_check_modules(KNP_RE2 REQUIRED IMPORTED_TARGET re2)
pkg_check_modules(KNP_TLS REQUIRED IMPORTED_TARGET libssl libcrypto)
pkg_check_modules(KNP_CURL REQUIRED IMPORTED_TARGET libcurl)
pkg_check_modules(KNP_HTTPLIB REQUIRED IMPORTED_TARGET cpp-httplib)
find_program(KNP_GRPC_PLUGIN grpc_cpp_plugin REQUIRED)

# proto/FOLDER/NAME.proto becomes "proto/FOLDER/NAME.pb.h" and, where it has services, ".grpc.pb.h".
file(GLOB_RECURSE knp_protos CONFIGURE_DEPENDS proto/*.proto)
if(knp_protos)
  set(knp_proto_dir ${PROJECT_BINARY_DIR}/generated)
  set(knp_proto_sources)
  foreach(source ${knp_protos})
    file(RELATIVE_PATH name ${PROJECT_SOURCE_DIR} ${source})
    string(REGEX REPLACE "\\.proto$" "" name ${name})
    set(outputs ${knp_proto_dir}/${name}.pb.cc ${knp_proto_dir}/${name}.pb.h ${knp_proto_dir}/${name}.grpc.pb.cc
                ${knp_proto_dir}/${name}.grpc.pb.h)
    add_custom_command(
      OUTPUT ${outputs}
      COMMAND ${CMAKE_COMMAND} -E make_directory ${knp_proto_dir}
      COMMAND protobuf::protoc --proto_path=${PROJECT_SOURCE_DIR} --cpp_out=${knp_proto_dir} --grpc_out=${knp_proto_dir}
              --plugin=protoc-gen-grpc=${KNP_GRPC_PLUGIN} ${source}
      DEPENDS ${knp_protos}
      VERBATIM)
    list(APPEND knp_proto_sources ${outputs})
  endforeach()
  add_library(knp_proto STATIC ${knp_proto_sources})
  target_compile_options(knp_proto PRIVATE -w) # not ours
  target_include_directories(knp_proto SYSTEM PUBLIC ${knp_proto_dir})
  target_link_libraries(knp_proto PUBLIC protobuf::libprotobuf PkgConfig::KNP_GRPC)
endif()

file(GLOB knp_identity_sources CONFIGURE_DEPENDS src/identity/*.cc src/identity/*/*.cc)
if(knp_identity_sources)
  add_library(knp_identity STATIC ${knp_identity_sources})
  knp_precompile(knp_identity)
  target_include_directories(knp_identity PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(knp_identity PUBLIC kubenetprobe simdjson::simdjson PkgConfig::KNP_CURL yaml-cpp fmt::fmt
                                            absl::strings absl::flat_hash_map Threads::Threads)
endif()

file(GLOB knp_hubble_sources CONFIGURE_DEPENDS src/export/hubble/*.cc)
if(knp_hubble_sources)
  add_library(knp_hubble STATIC ${knp_hubble_sources})
  knp_precompile(knp_hubble <google/protobuf/message.h> <grpcpp/grpcpp.h>)
  target_include_directories(knp_hubble PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(knp_hubble PUBLIC kubenetprobe knp_proto PkgConfig::KNP_RE2 PkgConfig::KNP_TLS fmt::fmt absl::strings
                                          absl::flat_hash_map Threads::Threads)
endif()

# Settings alone, for who only checks them: `knp config validate`.
set(knp_settings_sources src/agent/config.cc src/agent/config_keys.cc src/agent/listen_address.cc)
add_library(knp_settings STATIC ${knp_settings_sources})
target_include_directories(knp_settings PUBLIC ${PROJECT_SOURCE_DIR})
target_link_libraries(knp_settings PUBLIC knp_cli yaml-cpp)

file(GLOB knp_agent_sources CONFIGURE_DEPENDS src/agent/*.cc src/agent/*/*.cc)
list(FILTER knp_agent_sources EXCLUDE REGEX "/(config|config_keys|listen_address).cc$") # knp_settings has them
if(knp_agent_sources)
  add_library(knp_agent STATIC ${knp_agent_sources})
  knp_precompile(knp_agent)
  target_include_directories(knp_agent PUBLIC ${PROJECT_SOURCE_DIR})
  target_compile_definitions(knp_agent PRIVATE KNP_VERSION="${PROJECT_VERSION}")
  target_link_libraries(knp_agent PUBLIC knp_settings spdlog::spdlog PkgConfig::KNP_HTTPLIB PkgConfig::KNP_PROMETHEUS)
  foreach(library knp_identity knp_hubble knp_proto)
    if(TARGET ${library})
      target_link_libraries(knp_agent PUBLIC ${library})
    endif()
  endforeach()
endif()

# `knp` asking an agent.
file(GLOB knp_remote_sources CONFIGURE_DEPENDS src/cli/remote/*.cc)
list(FILTER knp_remote_sources EXCLUDE REGEX "/remote_options.cc$") # of the command line
add_library(knp_remote STATIC ${knp_remote_sources})
target_include_directories(knp_remote PUBLIC ${PROJECT_SOURCE_DIR})
target_link_libraries(knp_remote PUBLIC knp_cli knp_proto)

file(GLOB knp_main CONFIGURE_DEPENDS apps/knp/*.cc)
add_executable(knp ${knp_main})
target_link_libraries(knp PRIVATE knp_remote knp_settings)

file(GLOB knp_agent_main CONFIGURE_DEPENDS apps/knp-agent/*.cc)
if(knp_agent_main AND TARGET knp_agent)
  add_executable(knp-agent ${knp_agent_main})
  target_link_libraries(knp-agent PRIVATE knp_agent)
endif()
