// bdn-fake-hub: directories as repositories of a stand-in for the Hugging Face Hub. README.md.
#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fakes/hub_fake.h"

namespace {

using bdn::Code;
using bdn::Error;
using bdn::Result;
using bdn::Status;

constexpr std::string_view kUsage =
    R"(usage: bdn-fake-hub --repo OWNER/NAME=DIR [--repo ...] [options]
  --repo ID=DIR, --dataset ID=DIR, --space ID=DIR
                      a repository whose branch main is what lies below DIR; may be repeated, and
                      DIR may be left out (--repo ID) for an empty one
  --listen HOST:PORT  of the Hub (127.0.0.1:0)
  --cdn-listen HOST:PORT
                      of the storage host (127.0.0.1:0)
  --certificate FILE --key FILE
                      serve https with these (PEM)
  --token TOKEN       a token that opens everything; may be repeated
  --private, --gated  all repositories are
  --rate BYTES        per second and connection
  --page-size N       entries of a page of a listing (1000)
  --lfs-min BYTES     files of at least this size are LFS objects (10000000)
  --url-life SECONDS  of signed addresses (3600)
  --log FILE          append a line of JSON for each request
)";

struct Repository {
  std::string kind;
  std::string id;
  std::string directory;
};

struct Arguments {
  bdn::fakes::HubFakeOptions hub;
  std::vector<Repository> repositories;
  bool is_private = false;
  bool gated = false;
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
    if (!out->hub.tls) out->hub.tls.emplace();
    (*out->hub.tls).*member = value;
  };
  if (name == "--repo" || name == "--dataset" || name == "--space") {
    const std::size_t equals = value.find('=');
    out->repositories.push_back({name == "--repo" ? "models" : std::string(name.substr(2)) + "s",
                                 value.substr(0, equals),
                                 equals == std::string::npos ? "" : value.substr(equals + 1)});
    return {};
  }
  if (name == "--listen") return out->hub.listen = value, Status();
  if (name == "--cdn-listen") return out->hub.cdn_listen = value, Status();
  if (name == "--certificate") return set_tls(&bdn::net::TlsOptions::certificate_file), Status();
  if (name == "--key") return set_tls(&bdn::net::TlsOptions::key_file), Status();
  if (name == "--token") return out->hub.tokens.push_back({value}), Status();
  if (name == "--log") return out->log_file = value, Status();
  if (name != "--rate" && name != "--page-size" && name != "--lfs-min" && name != "--url-life") {
    return Error(Code::kInvalidArgument, "unknown option " + std::string(name));
  }
  BDN_ASSIGN(const std::uint64_t number, ParseNumber(name, value));
  if (name == "--rate") out->hub.bytes_per_second = number;
  if (name == "--page-size") out->hub.page_entries = std::max<std::uint64_t>(number, 1);
  if (name == "--lfs-min") out->hub.lfs.bytes_min = number;
  if (name == "--url-life") {
    out->hub.signed_url_life = std::chrono::seconds(std::min<std::uint64_t>(number, 1u << 30));
  }
  return {};
}

Result<Arguments> Parse(const std::vector<std::string>& words) {
  Arguments out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--private") {
      out.is_private = true;
    } else if (words[i] == "--gated") {
      out.gated = true;
    } else if (i + 1 == words.size()) {
      return Error(Code::kInvalidArgument, "unknown option or missing value: " + words[i]);
    } else {
      BDN_TRY(SetOption(words[i], words[i + 1], &out));
      ++i;
    }
  }
  if (out.repositories.empty()) return Error(Code::kInvalidArgument, "name a --repo");
  return out;
}

Result<std::unique_ptr<bdn::fakes::HubFake>> Start(const Arguments& arguments) {
  BDN_ASSIGN(auto hub, bdn::fakes::HubFake::Start(arguments.hub));
  if (!arguments.log_file.empty()) BDN_TRY(hub->log().WriteTo(arguments.log_file));
  for (const Repository& r : arguments.repositories) {
    BDN_TRY(hub->AddRepository({.kind = r.kind,
                                .id = r.id,
                                .is_private = arguments.is_private,
                                .gated = arguments.gated}));
    if (r.directory.empty()) {
      BDN_TRY(hub->Commit(r.kind, r.id, {}));
    } else {
      BDN_TRY(hub->CommitDirectory(r.kind, r.id, r.directory));
    }
  }
  return hub;
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
    std::fprintf(stderr, "bdn-fake-hub: %s\n%s", arguments.error().message().c_str(),
                 kUsage.data());
    return 2;
  }
  auto hub = Start(*arguments);
  if (!hub) {
    std::fprintf(stderr, "bdn-fake-hub: %s\n", hub.error().message().c_str());
    return 1;
  }
  std::printf("fake hub ready at %s\n", (*hub)->url().c_str());
  std::fflush(stdout);
  int received = 0;
  sigwait(&ends, &received);
  (*hub)->Stop();
  return 0;
}
