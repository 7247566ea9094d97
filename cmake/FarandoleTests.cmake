# tests/<area>/test_<file>.c: one executable each. tests/support/*.c and tests/test_main.c go into all of them.
include_guard()
enable_testing()

file(GLOB test_sources CONFIGURE_DEPENDS RELATIVE "${PROJECT_SOURCE_DIR}" tests/*/test_*.c)
file(GLOB test_scripts CONFIGURE_DEPENDS RELATIVE "${PROJECT_SOURCE_DIR}" tests/*/test_*.py tests/*/test_*.sh)
file(GLOB support_sources CONFIGURE_DEPENDS RELATIVE "${PROJECT_SOURCE_DIR}" tests/support/*.c)
list(FILTER test_sources EXCLUDE REGEX "^tests/support/")

add_library(far_test_flags INTERFACE)
target_include_directories(far_test_flags INTERFACE tests tests/support src)
target_compile_definitions(far_test_flags INTERFACE
  "FAR_TEST_SOURCE_DIR=\"${PROJECT_SOURCE_DIR}\"" "FAR_TEST_CLI=\"${PROJECT_BINARY_DIR}/farandole\""
  "FARI_VERSION=\"${PROJECT_VERSION}\"" ${far_isa_definitions})
target_link_libraries(far_test_flags INTERFACE farandole far_flags far_cmocka far_libraries)

# An object library: the linker would drop members of an archive that only register themselves.
add_library(far_test_support OBJECT tests/test_main.c ${support_sources})
target_link_libraries(far_test_support PRIVATE far_test_flags)

set(test_list "") # what scripts/check.py runs; a leftover executable of a deleted test is not in it
foreach(source IN LISTS test_sources)
  string(REGEX REPLACE "^tests/(.+)/(test_.+)\\.c$" "\\1/\\2" name "${source}")
  string(REPLACE "/" "_" target "${name}")
  cmake_path(GET name PARENT_PATH area)
  cmake_path(GET name FILENAME file)
  add_executable(${target} "${source}")
  set_target_properties(${target} PROPERTIES
    OUTPUT_NAME "${file}" RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests/${area}")
  target_link_libraries(${target} PRIVATE far_test_support far_test_flags)
  add_test(NAME "${name}" COMMAND ${target} WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
  add_test(NAME "${name}.torture" COMMAND ${target} --torture WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
  set_tests_properties("${name}" PROPERTIES LABELS "unit;${area}")
  set_tests_properties("${name}.torture" PROPERTIES LABELS "torture;${area}")
  string(APPEND test_list "${name}\ttests/${area}/${file}\n")
endforeach()
file(GENERATE OUTPUT "${PROJECT_BINARY_DIR}/tests/list.txt" CONTENT "${test_list}")

find_program(FAR_PYTHON3 python3)
foreach(script IN LISTS test_scripts ITEMS tests/layers.py)
  if(script MATCHES "\\.py$")
    set(interpreter "${FAR_PYTHON3}")
  else()
    set(interpreter bash)
  endif()
  string(REGEX REPLACE "^tests/(.+)\\.[a-z]+$" "\\1" name "${script}")
  add_test(NAME "${name}" COMMAND "${interpreter}" "${script}" WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
  set_tests_properties("${name}" PROPERTIES
    LABELS script ENVIRONMENT "FAR_TEST_CLI=${PROJECT_BINARY_DIR}/farandole;FAR_TEST_BUILD=${PROJECT_BINARY_DIR}")
endforeach()

get_property(all_tests DIRECTORY PROPERTY TESTS)
if(all_tests)
  set_tests_properties(${all_tests} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 900)
endif()
