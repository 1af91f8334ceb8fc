# bdn_component(store
#   HEADERS blob_store.h memory_blob_store.h     public headers, each must compile alone
#   SOURCES memory_blob_store.cc
#   DEPS base os                                 components whose headers our headers use
#   PRIVATE_DEPS net                             components used only in our .cc files
#   LIBS CURL::libcurl                           third-party, always PRIVATE
#   TESTING_HEADERS / TESTING_SOURCES            fakes and conformance suites -> bdn::store_testing
#   TESTING_DEPS base_testing                    what those fakes use
#   TESTS memory_blob_store_test.cc              one gtest binary per component, label "unit"
#   TEST_DEPS base_testing                       further components that the tests use
#   TEST_LIBS rapidcheck)                        third-party libraries that only tests use
add_library(bdn_options INTERFACE)
target_compile_options(bdn_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor
  # Designated initialisers leave out what has a default: that is their point.
  -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # With -O2 it sees uninitialised members in optionals that are empty (gcc.gnu.org/PR80635).
  target_compile_options(bdn_options INTERFACE $<$<CONFIG:RelWithDebInfo>:-Wno-maybe-uninitialized>)
endif()
if(BDN_WERROR)
  target_compile_options(bdn_options INTERFACE -Werror)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(bdn_options INTERFACE -Wthread-safety -Wno-gnu-zero-variadic-macro-arguments
    -Wno-deprecated-declarations)  # of libstdc++ 12 in its own headers
endif()
if(BDN_SANITIZE)  # whole-build flags: a sanitizer that misses one library is worse than none
  add_compile_options(-fsanitize=${BDN_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${BDN_SANITIZE})
endif()
if(BDN_FUZZ)  # the parsers that are fuzzed, not only the targets in fuzz/, must count their edges
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
endif()

function(bdn_component name)
  cmake_parse_arguments(A "" "" "HEADERS;SOURCES;DEPS;PRIVATE_DEPS;LIBS;TESTING_HEADERS;TESTING_SOURCES;TESTING_DEPS;TESTS;TEST_DEPS;TEST_LIBS" ${ARGN})
  foreach(dep IN LISTS A_DEPS A_PRIVATE_DEPS)
    if(NOT TARGET bdn_${dep})
      message(FATAL_ERROR "layering: ${name} depends on ${dep}, which is not declared above it in CMakeLists.txt")
    endif()
  endforeach()
  list(TRANSFORM A_DEPS PREPEND bdn:: OUTPUT_VARIABLE public_deps)
  list(TRANSFORM A_PRIVATE_DEPS PREPEND bdn:: OUTPUT_VARIABLE private_deps)
  list(TRANSFORM A_TEST_DEPS PREPEND bdn:: OUTPUT_VARIABLE test_deps)
  list(TRANSFORM A_TESTING_DEPS PREPEND bdn:: OUTPUT_VARIABLE testing_deps)

  if(A_SOURCES)
    add_library(bdn_${name} STATIC ${A_SOURCES})
    set(scope PUBLIC)
    target_link_libraries(bdn_${name} PRIVATE bdn_options ${private_deps} ${A_LIBS})
  else()
    add_library(bdn_${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  add_library(bdn::${name} ALIAS bdn_${name})
  target_sources(bdn_${name} ${scope} FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR}/src FILES ${A_HEADERS})
  set_target_properties(bdn_${name} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)
  target_link_libraries(bdn_${name} ${scope} ${public_deps} Threads::Threads)

  if(A_TESTING_SOURCES)
    add_library(bdn_${name}_testing STATIC ${A_TESTING_SOURCES})
    target_link_libraries(bdn_${name}_testing PUBLIC bdn::${name} GTest::gtest ${testing_deps} PRIVATE bdn_options)
  elseif(A_TESTING_HEADERS)
    add_library(bdn_${name}_testing INTERFACE)
    target_link_libraries(bdn_${name}_testing INTERFACE bdn::${name} GTest::gtest ${testing_deps})
  endif()
  if(A_TESTING_HEADERS OR A_TESTING_SOURCES)
    add_library(bdn::${name}_testing ALIAS bdn_${name}_testing)
  endif()
  if(A_TESTS)
    add_executable(${name}_test ${A_TESTS})
    target_link_libraries(${name}_test PRIVATE bdn_options bdn::${name} ${test_deps} ${A_TEST_LIBS} GTest::gtest_main GTest::gmock)
    if(TARGET bdn_${name}_testing)
      target_link_libraries(${name}_test PRIVATE bdn::${name}_testing)
    endif()
    if(BDN_PCH)
      target_precompile_headers(${name}_test PRIVATE <gtest/gtest.h> <string> <vector> <memory> <expected> <functional>)
    endif()
    add_test(NAME unit.${name} COMMAND ${name}_test)
    set_tests_properties(unit.${name} PROPERTIES LABELS unit TIMEOUT 120)
  endif()
endfunction()
