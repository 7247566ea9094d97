# Flags that every file of ours is compiled with, as the interface library far_flags.
include_guard()

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Release, Debug or Sanitize" FORCE)
endif()

# -g1 and frame pointers: profiles and crash traces of what users run stay readable.
set(CMAKE_C_FLAGS_RELEASE "-O3 -g1 -DNDEBUG")
set(CMAKE_C_FLAGS_DEBUG "-Og -g")
set(CMAKE_C_FLAGS_SANITIZE "-O1 -g")

add_library(far_flags INTERFACE)
target_compile_definitions(far_flags INTERFACE _GNU_SOURCE)
target_compile_options(far_flags INTERFACE
  # Same bits from every compiler and optimisation level: no contraction, no fast math, ever.
  -ffp-contract=off -fno-math-errno -fno-trapping-math
  -fno-omit-frame-pointer
  # Error traces name src/base/x.c, not a path of the machine that built it.
  "-fmacro-prefix-map=${PROJECT_SOURCE_DIR}/="
  -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition
  -Wvla -Wundef -Wwrite-strings -Wpointer-arith -Wimplicit-fallthrough -Wformat=2 -Wno-format-nonliteral
  $<$<C_COMPILER_ID:GNU>:-Wdouble-promotion> # clang's fires on `double x = INFINITY` as well
  $<$<BOOL:${FAR_WERROR}>:-Werror>
  $<$<CONFIG:Release>:-fstack-protector-strong>)
target_compile_definitions(far_flags INTERFACE $<$<CONFIG:Release>:_FORTIFY_SOURCE=2>)

if(FAR_SANITIZE)
  set(far_sanitize_flags "-fsanitize=${FAR_SANITIZE}" -fno-sanitize-recover=all)
  if(FAR_FUZZ)
    list(APPEND far_sanitize_flags -fsanitize=fuzzer-no-link)
  endif()
  target_compile_options(far_flags INTERFACE ${far_sanitize_flags})
  target_link_options(far_flags INTERFACE ${far_sanitize_flags})
endif()
