#include "cli/main.h"

int main(int argc, char** argv) {
  return bdn::cli::Main(argc, argv);
}
