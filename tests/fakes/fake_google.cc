// bdn-fake-google: directories as buckets of a stand-in for Google Cloud Storage, with its token
// services. README.md.
#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fakes/google_fake.h"

namespace {

using bdn::Code;
using bdn::Error;
using bdn::Result;
using bdn::Status;

constexpr std::string_view kUsage =
    R"(usage: bdn-fake-google [--bucket NAME[=DIR] ...] [options]
  --bucket NAME=DIR   a bucket with what lies below DIR; DIR may be left out for an empty one
  --listen HOST:PORT  (127.0.0.1:0)
  --certificate FILE --key FILE
                      serve https with these (PEM)
  --ca FILE           authorities for reading OIDC issuers by https (PEM)
  --page-size N       objects of a page of a listing (1000)
  --token-life SECONDS
                      of access tokens (3600)
  --rate BYTES        per second and connection
  --log FILE          append a line of JSON for each request
)";

struct Arguments {
  bdn::fakes::GoogleFakeOptions google;
  std::vector<std::pair<std::string, std::string>> buckets;
  std::string log_file;
};

Result<std::uint64_t> ParseNumber(std::string_view name, std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (bad == std::errc() && end == text.data() + text.size()) return value;
  return Error(Code::kInvalidArgument, std::string(name) + ": not a number");
}

Status SetOption(std::string_view name, const std::string& value, Arguments* out) {
  const auto set_tls = [&](std::string bdn::net::TlsOptions::*member) {
    if (!out->google.tls) out->google.tls.emplace();
    (*out->google.tls).*member = value;
  };
  if (name == "--bucket") {
    const std::size_t equals = value.find('=');
    out->buckets.emplace_back(value.substr(0, equals),
                              equals == std::string::npos ? "" : value.substr(equals + 1));
    return {};
  }
  if (name == "--listen") return out->google.listen = value, Status();
  if (name == "--certificate") return set_tls(&bdn::net::TlsOptions::certificate_file), Status();
  if (name == "--key") return set_tls(&bdn::net::TlsOptions::key_file), Status();
  if (name == "--ca") return out->google.ca_file = value, Status();
  if (name == "--log") return out->log_file = value, Status();
  if (name != "--rate" && name != "--page-size" && name != "--token-life") {
    return Error(Code::kInvalidArgument, "unknown option " + std::string(name));
  }
  BDN_ASSIGN(const std::uint64_t number, ParseNumber(name, value));
  if (name == "--rate") out->google.bytes_per_second = number;
  if (name == "--page-size") out->google.page_entries = std::max<std::uint64_t>(number, 1);
  if (name == "--token-life") {
    out->google.token_life = std::chrono::seconds(std::min<std::uint64_t>(number, 1u << 30));
  }
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
  return out;
}

Result<std::unique_ptr<bdn::fakes::GoogleFake>> Start(const Arguments& arguments) {
  BDN_ASSIGN(auto google, bdn::fakes::GoogleFake::Start(arguments.google));
  if (!arguments.log_file.empty()) BDN_TRY(google->log().WriteTo(arguments.log_file));
  for (const auto& [bucket, directory] : arguments.buckets) {
    google->AddBucket({.name = bucket});
    if (!directory.empty()) BDN_TRY(google->PutDirectory(bucket, "", directory));
  }
  return google;
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
    std::fprintf(stderr, "bdn-fake-google: %s\n%s", arguments.error().message().c_str(),
                 kUsage.data());
    return 2;
  }
  auto google = Start(*arguments);
  if (!google) {
    std::fprintf(stderr, "bdn-fake-google: %s\n", google.error().message().c_str());
    return 1;
  }
  std::printf("fake google ready at %s\n", (*google)->url().c_str());
  std::fflush(stdout);
  int received = 0;
  sigwait(&ends, &received);
  (*google)->Stop();
  return 0;
}
