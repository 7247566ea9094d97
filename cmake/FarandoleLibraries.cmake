# Libraries we build on, gathered in far_libraries. What is missing is named with its Debian package.
include_guard()

find_package(PkgConfig)
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

set(far_missing "")

# far_library(<name> PKG <pkg-config module> HEADER <h> LIB <lib> DEBIAN <package>) makes the target far_<name>.
function(far_library name)
  cmake_parse_arguments(arg "" "PKG;HEADER;LIB;DEBIAN" "" ${ARGN})
  add_library(far_${name} INTERFACE)
  if(arg_PKG AND PkgConfig_FOUND)
    pkg_check_modules(FAR_${name} QUIET IMPORTED_TARGET "${arg_PKG}")
    if(FAR_${name}_FOUND)
      target_link_libraries(far_${name} INTERFACE PkgConfig::FAR_${name})
      return()
    endif()
  endif()
  find_path(FAR_${name}_INCLUDE_DIR "${arg_HEADER}")
  find_library(FAR_${name}_LIBRARY "${arg_LIB}")
  mark_as_advanced(FAR_${name}_INCLUDE_DIR FAR_${name}_LIBRARY)
  if(FAR_${name}_INCLUDE_DIR AND FAR_${name}_LIBRARY)
    target_include_directories(far_${name} SYSTEM INTERFACE "${FAR_${name}_INCLUDE_DIR}")
    target_link_libraries(far_${name} INTERFACE "${FAR_${name}_LIBRARY}")
  else()
    set(far_missing "${far_missing}\n  ${name}: header ${arg_HEADER}, Debian package ${arg_DEBIAN}" PARENT_SCOPE)
  endif()
endfunction()

far_library(dnnl HEADER dnnl.h LIB dnnl DEBIAN libdnnl-dev)
far_library(yaml PKG yaml-0.1 HEADER yaml.h LIB yaml DEBIAN libyaml-dev)
far_library(jansson PKG jansson HEADER jansson.h LIB jansson DEBIAN libjansson-dev)
far_library(xxhash PKG libxxhash HEADER xxhash.h LIB xxhash DEBIAN libxxhash-dev)
far_library(zlib PKG zlib HEADER zlib.h LIB z DEBIAN zlib1g-dev)
far_library(hwloc PKG hwloc HEADER hwloc.h LIB hwloc DEBIAN libhwloc-dev)
far_library(hdf5 PKG hdf5 HEADER hdf5.h LIB hdf5 DEBIAN libhdf5-dev)
far_library(jpeg PKG libjpeg HEADER jpeglib.h LIB jpeg DEBIAN libjpeg62-turbo-dev)
far_library(spng PKG spng HEADER spng.h LIB spng DEBIAN libspng-dev)
far_library(archive PKG libarchive HEADER archive.h LIB archive DEBIAN libarchive-dev)
if(FAR_TESTS AND NOT FAR_FUZZ)
  far_library(cmocka PKG cmocka HEADER cmocka.h LIB cmocka DEBIAN libcmocka-dev)
endif()

if(far_missing)
  message(FATAL_ERROR "libraries not found:${far_missing}\nscripts/install-deps.sh installs them on Debian 12.")
endif()

add_library(far_libraries INTERFACE)
target_link_libraries(far_libraries INTERFACE
  far_dnnl far_yaml far_jansson far_xxhash far_zlib far_hwloc far_hdf5 far_jpeg far_spng far_archive Threads::Threads
  ${CMAKE_DL_LIBS} m)

# MPI, for several ranks only: a module of its own, loaded when it is needed. Without it everything else builds and runs.
option(FAR_MPI "Build the MPI module where MPI is found" ON)
if(FAR_MPI AND PkgConfig_FOUND)
  pkg_check_modules(FAR_mpi QUIET IMPORTED_TARGET mpi-c)
  if(NOT FAR_mpi_FOUND)
    pkg_check_modules(FAR_mpi QUIET IMPORTED_TARGET ompi-c)
  endif()
endif()
