# Checks of the tree itself, as tests with the label "lint": ctest --preset debug -L lint. One whose
# tool is not installed reports itself as skipped.
function(bdn_lint name)
  add_test(NAME lint.${name} COMMAND ${ARGN} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(lint.${name} PROPERTIES LABELS lint SKIP_RETURN_CODE 77 TIMEOUT 120)
endfunction()

bdn_lint(layers ${Python3_EXECUTABLE} tools/check_layers.py .)
bdn_lint(tidy ${Python3_EXECUTABLE} tools/tidy.py .)
bdn_lint(errors ${Python3_EXECUTABLE} tools/check_errors.py .)
bdn_lint(format tools/format.sh --check)
bdn_lint(shellcheck tools/shellcheck.sh)
bdn_lint(codespell tools/codespell.sh)
