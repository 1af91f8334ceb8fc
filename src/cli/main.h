#pragma once
namespace bdn::cli {
// The program: parses the command line, runs the command, returns the exit code (docs/errors.md).
int Main(int argc, char** argv);
}  // namespace bdn::cli
