#pragma once
// The URI in a weights item: where weights are published (docs/config.md lists all eight forms).
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace bdn::model {

enum class Scheme : std::uint8_t { kAzure, kBt, kCw, kGs, kHf, kHttps, kR2, kS3 };

std::string_view SchemeName(Scheme scheme);  // "hf"

struct SourceUri {
  Scheme scheme = Scheme::kHf;
  std::string text;  // as the user wrote it

  // hf: kind is "models", "datasets" or "spaces"; owner is empty never; revision empty means main.
  std::string repo_kind;
  std::string owner;
  std::string repo;
  std::string revision;
  // s3, gs, cw: bucket and path. r2: account.bucket. azure: account, container (bucket) and path.
  // Path has no leading or trailing '/'; empty means all.
  std::string account;
  std::string bucket;
  std::string path;
  // bt: project (bucket), revision ("latest" when absent), checkpoint (path); or loops run.
  bool loops = false;
  // https: the whole URL is in text; path is its last segment (the file name).

  // The same source under one spelling: "hf://models/owner/repo@rev"; for keys, not for people.
  std::string Canonical() const;
  std::string repo_id() const { return owner + "/" + repo; }
};

// Errors carry exactly the client's documented sentences (docs/errors.md), with our list of
// schemes.
Result<SourceUri> ParseSourceUri(std::string_view text);

}  // namespace bdn::model
