# Kernels compiled once per instruction set; the CPU backend picks one at run time.
include_guard()

set(far_isa_flags_base "")
set(far_isa_flags_avx2 -mavx2 -mfma -mf16c)
set(far_isa_flags_avx512 -mavx512f -mavx512vl -mavx512bw -mavx512dq -mfma -mf16c -mprefer-vector-width=512)

set(far_isas base)
set(far_isa_definitions "")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  list(APPEND far_isas avx2 avx512)
  set(far_isa_definitions FARI_ISA_X86=1) # the dispatcher may refer to _avx2 and _avx512
endif()

# far_isa_objects(<variable> <source>...) sets the variable to the objects of all variants.
function(far_isa_objects out)
  set(objects "")
  if(ARGN)
    foreach(isa IN LISTS far_isas)
      add_library(far_isa_${isa} OBJECT ${ARGN})
      target_include_directories(far_isa_${isa} PRIVATE src include)
      target_compile_definitions(far_isa_${isa} PRIVATE FARI_ISA_SUFFIX=_${isa} ${far_isa_definitions})
      target_link_libraries(far_isa_${isa} PRIVATE far_flags)
      target_compile_options(far_isa_${isa} PRIVATE ${far_isa_flags_${isa}})
      list(APPEND objects "$<TARGET_OBJECTS:far_isa_${isa}>")
    endforeach()
  endif()
  set(${out} "${objects}" PARENT_SCOPE)
endfunction()
