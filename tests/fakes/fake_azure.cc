// bdn-fake-azure: directories as containers of a stand-in for the Azure Blob service. README.md.
#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "crypto/digest.h"
#include "fakes/blob_fake.h"

namespace {

using bdn::Code;
using bdn::Error;
using bdn::Result;
using bdn::Status;

constexpr std::string_view kUsage =
    R"(usage: bdn-fake-azure --account NAME=BASE64KEY --container ACCOUNT/NAME=DIR [...] [options]
  --account NAME=KEY  a storage account and its key; may be repeated
  --container ACCOUNT/NAME=DIR
                      a container with what lies below DIR; may be repeated, and DIR may be left out
  --application TENANT/CLIENT=SECRET[:RIGHTS]
                      gets tokens at /TENANT/oauth2/v2.0/token; RIGHTS are r and l (rl)
  --federated TENANT/CLIENT=ISSUER,SUBJECT
                      gets them for tokens of that issuer and subject
  --listen HOST:PORT  (127.0.0.1:0)
  --page-size N       blobs of a page of a listing (5000)
  --token-life S      of access tokens, in seconds (3600)
  --log FILE          append a line of JSON for each request
)";

struct Arguments {
  bdn::fakes::BlobFakeOptions azure;
  std::vector<std::pair<std::string, std::string>> containers;  // "account/name", directory
  std::string log_file;
};

Status SetOption(std::string_view name, const std::string& value, Arguments* out) {
  const auto equals = std::min(value.find('='), value.size());
  const std::string left = value.substr(0, equals);
  const std::string right = value.substr(std::min(equals + 1, value.size()));
  if (name == "--account") {
    BDN_ASSIGN(out->azure.keys[left], bdn::crypto::Base64Decode(right));
    return {};
  }
  if (name == "--container") {
    if (left.find('/') == std::string::npos) {
      return Error(Code::kInvalidArgument, "--container: ACCOUNT/NAME=DIR");
    }
    out->containers.emplace_back(left, right);
    return {};
  }
  if (name == "--application") {
    const auto colon = std::min(right.find(':'), right.size());
    bdn::fakes::BlobApplication application{left, right.substr(0, colon)};
    if (colon < right.size()) application.rights = right.substr(colon + 1);
    out->azure.applications.push_back(std::move(application));
    return {};
  }
  if (name == "--federated") {
    const auto comma = std::min(right.find(','), right.size());
    out->azure.applications.push_back({.id = left,
                                       .secret = {},
                                       .issuer = right.substr(0, comma),
                                       .subject = right.substr(std::min(comma + 1, right.size()))});
    return {};
  }
  if (name == "--listen") return out->azure.listen = value, Status();
  if (name == "--log") return out->log_file = value, Status();
  std::uint32_t number = 0;
  const auto [end, bad] = std::from_chars(value.data(), value.data() + value.size(), number);
  if ((name != "--page-size" && name != "--token-life") || bad != std::errc() ||
      end != value.data() + value.size() || number == 0) {
    return Error(Code::kInvalidArgument, "unknown option or bad number: " + std::string(name));
  }
  if (name == "--page-size") out->azure.page_blobs = number;
  if (name == "--token-life") out->azure.token_life = std::chrono::seconds(number);
  return {};
}

Result<Arguments> Parse(const std::vector<std::string>& words) {
  Arguments out;
  for (std::size_t i = 0; i < words.size(); i += 2) {
    if (i + 1 == words.size()) {
      return Error(Code::kInvalidArgument, "unknown option or missing value: " + words[i]);
    }
    BDN_TRY(SetOption(words[i], words[i + 1], &out));
  }
  if (out.azure.keys.empty()) return Error(Code::kInvalidArgument, "name an --account");
  return out;
}

Result<std::unique_ptr<bdn::fakes::BlobFake>> Start(const Arguments& arguments) {
  BDN_ASSIGN(auto azure, bdn::fakes::BlobFake::Start(arguments.azure));
  if (!arguments.log_file.empty()) BDN_TRY(azure->log().WriteTo(arguments.log_file));
  for (const auto& [id, directory] : arguments.containers) {
    const auto slash = id.find('/');
    const std::string account = id.substr(0, slash);
    const std::string container = id.substr(slash + 1);
    azure->Put(account, container, "", {.content = bdn::fakes::MakeContent("")});
    if (!directory.empty()) BDN_TRY(azure->PutDirectory(account, container, directory));
  }
  return azure;
}

}  // namespace

int main(int argc, char** argv) {
  // Blocked before any thread starts, so that only sigwait below takes them.
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);

  const auto arguments = Parse({argv + 1, argv + argc});
  if (!arguments) {
    std::fprintf(stderr, "bdn-fake-azure: %s\n%s", arguments.error().message().c_str(),
                 kUsage.data());
    return 2;
  }
  auto azure = Start(*arguments);
  if (!azure) {
    std::fprintf(stderr, "bdn-fake-azure: %s\n", azure.error().message().c_str());
    return 1;
  }
  std::printf("fake azure ready at %s\n", (*azure)->url().c_str());
  std::fflush(stdout);
  int received = 0;
  sigwait(&ends, &received);
  (*azure)->Stop();
  return 0;
}
