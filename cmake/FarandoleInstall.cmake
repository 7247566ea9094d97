# make install: the command, the static library, the headers and a pkg-config file.
include_guard()
include(GNUInstallDirs)

install(TARGETS farandole ARCHIVE)
if(TARGET farandole_cli)
  install(TARGETS farandole_cli RUNTIME)
endif()
if(TARGET farandole_mpi)
  install(TARGETS farandole_mpi LIBRARY DESTINATION lib/farandole) # beside bin: src/comm/mpi_load.c looks there
endif()
install(DIRECTORY include/farandole DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.h")
configure_file(cmake/farandole.pc.in farandole.pc @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/farandole.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
