#include "model/source_uri.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace bdn::model {
namespace {

constexpr std::size_t kUriBytesMax = 4096;
constexpr std::size_t kRepoIdBytesMax = 96;
constexpr std::string_view kSupported =
    "azure://, bt://, cw://, gs://, hf://, https://, r2://, s3://";

struct SchemeFacts {
  Scheme scheme;
  std::string_view name;
  std::string_view label;     // in error messages
  std::string_view noun;      // "URI" or "URL"
  std::string_view expected;  // the documented form
  std::string_view full;      // the form with every required part, for our own checks
};

constexpr std::array<SchemeFacts, 8> kSchemes{{
    {Scheme::kAzure, "azure", "AZURE", "URI", "azure://bucket/path",
     "azure://account/container/path"},
    {Scheme::kBt, "bt", "BT", "URI", "bt://project[@revision][/checkpoint]",
     "bt://project[@revision][/checkpoint]"},
    {Scheme::kCw, "cw", "CW", "URI", "cw://bucket/path", "cw://bucket/path"},
    {Scheme::kGs, "gs", "GS", "URI", "gs://bucket/path", "gs://bucket/path"},
    {Scheme::kHf, "hf", "HuggingFace", "URI", "hf://owner/repo", "hf://owner/repo"},
    {Scheme::kHttps, "https", "HTTPS", "URL", "https://hostname/path", "https://hostname/path"},
    {Scheme::kR2, "r2", "R2", "URI", "r2://bucket/path", "r2://account_id.bucket/path"},
    {Scheme::kS3, "s3", "S3", "URI", "s3://bucket/path", "s3://bucket/path"},
}};

const SchemeFacts& FactsOf(Scheme scheme) {
  return kSchemes[static_cast<std::size_t>(scheme)];
}

bool IsAlnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool IsNameChar(char c) {
  return IsAlnum(c) || c == '.' || c == '_' || c == '-';
}

bool IsName(std::string_view name) {
  return !name.empty() && name != "." && name != ".." &&
         std::all_of(name.begin(), name.end(), IsNameChar);
}

std::string_view TrimSlashes(std::string_view path) {
  while (path.starts_with('/')) path.remove_prefix(1);
  while (path.ends_with('/')) path.remove_suffix(1);
  return path;
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

// The client's sentence for an empty URI.
Error Documented(const SchemeFacts& facts, std::string_view text) {
  return Error(Code::kInvalidArgument,
               fmt::format("Invalid {} {} format: '{}'. Expected format: {}", facts.label,
                           facts.noun, text, facts.expected));
}

// The same sentence for what the client lets through and no source can serve, with the reason.
Error Unusable(const SchemeFacts& facts, std::string_view text, std::string_view why) {
  return Error(Code::kInvalidArgument,
               fmt::format("Invalid {} {} format: '{}'. Expected format: {} ({})", facts.label,
                           facts.noun, text, facts.full, why));
}

// The Hub's rule for one half of a repository id.
bool IsRepoPart(std::string_view part) {
  return IsName(part) && !part.starts_with('-') && !part.starts_with('.') && !part.ends_with('-') &&
         !part.ends_with('.') && part.find("--") == std::string_view::npos &&
         part.find("..") == std::string_view::npos;
}

Status ParseHf(std::string_view rest, SourceUri& uri) {
  const SchemeFacts& facts = FactsOf(Scheme::kHf);
  std::string_view id = rest;
  // A revision may hold any of '/', '@' (git allows both in names); an id neither.
  if (const auto at = rest.find('@'); at != std::string_view::npos) {
    id = rest.substr(0, at);
    std::string_view revision = rest.substr(at + 1);
    for (auto escape = revision.find('%'); !revision.empty();) {
      if (escape == std::string_view::npos || revision.size() - escape < 3) {
        uri.revision += revision;
        break;
      }
      const bool is_slash = Lower(revision.substr(escape, 3)) == "%2f";
      uri.revision += revision.substr(0, escape);
      uri.revision += is_slash ? "/" : std::string(revision.substr(escape, 3));
      revision.remove_prefix(escape + 3);
      escape = revision.find('%');
    }
    const std::string& name = uri.revision;
    if (name.find_first_of(" ~^:?*[\\") != std::string::npos || name.starts_with('/') ||
        name.ends_with('/') || name.find("..") != std::string::npos ||
        name.find("//") != std::string::npos) {
      return Unusable(facts, uri.text, "the revision is not a branch, a tag or a commit");
    }
  }
  while (id.ends_with('/')) id.remove_suffix(1);
  uri.repo_kind = "models";
  auto slash = id.find('/');
  const std::string_view first = id.substr(0, slash);
  if (first == "models" || first == "datasets" || first == "spaces") {
    uri.repo_kind = first;
    id = slash == std::string_view::npos ? std::string_view() : id.substr(slash + 1);
    slash = id.find('/');
  }
  if (slash == std::string_view::npos) {
    return Unusable(facts, uri.text, "the owner or the repository is missing");
  }
  uri.owner = id.substr(0, slash);
  uri.repo = id.substr(slash + 1);
  if (uri.repo.find('/') != std::string::npos) {
    return Unusable(facts, uri.text,
                    "a source is a whole repository; select files with allow_patterns");
  }
  if (!IsRepoPart(uri.owner) || !IsRepoPart(uri.repo) || uri.repo.ends_with(".git") ||
      id.size() > kRepoIdBytesMax) {
    return Unusable(facts, uri.text,
                    "a repository id is at most 96 letters, digits, '.', '_' and '-', without '--' "
                    "and '..'");
  }
  return {};
}

Status ParseBucket(std::string_view rest, SourceUri& uri) {
  const SchemeFacts& facts = FactsOf(uri.scheme);
  const auto cut = [](std::string_view& text) {
    const auto slash = text.find('/');
    const std::string_view head = text.substr(0, slash);
    text = slash == std::string_view::npos ? std::string_view() : text.substr(slash + 1);
    return head;
  };
  std::string_view head = cut(rest);
  if (uri.scheme == Scheme::kR2) {
    const auto dot = head.find('.');
    if (dot == std::string_view::npos) {
      return Unusable(facts, uri.text, "the first '.' separates the account from the bucket");
    }
    uri.account = head.substr(0, dot);
    head.remove_prefix(dot + 1);
    if (!std::all_of(uri.account.begin(), uri.account.end(), IsAlnum) || uri.account.empty()) {
      return Unusable(facts, uri.text, "the account id is letters and digits");
    }
  } else if (uri.scheme == Scheme::kAzure) {
    uri.account = head;
    head = cut(rest);
    if (!std::all_of(uri.account.begin(), uri.account.end(), IsAlnum)) {
      return Unusable(facts, uri.text, "a storage account is letters and digits");
    }
    if (head.empty()) return Unusable(facts, uri.text, "the container is missing");
  }
  uri.bucket = head;
  // "$root" and "$web" are the two container names of Azure that begin otherwise.
  const bool special = uri.scheme == Scheme::kAzure && (head == "$root" || head == "$web");
  if (!special && !IsName(head)) {
    // The name becomes part of a host name or a URL.
    return Unusable(facts, uri.text,
                    "a bucket name has letters, digits, '.', '_' and '-' only; ARNs and access "
                    "points are not supported");
  }
  uri.path = TrimSlashes(rest);
  return {};
}

Status ParseHttps(std::string_view rest, SourceUri& uri) {
  const SchemeFacts& facts = FactsOf(Scheme::kHttps);
  const auto end = rest.find_first_of("/?#");
  const std::string_view host = rest.substr(0, end);
  std::string_view path = end == std::string_view::npos ? std::string_view() : rest.substr(end);
  if (host.find('@') != std::string_view::npos) {
    return Unusable(facts, uri.text, "a URL must not carry a user name or password; use auth");
  }
  if (host.find_first_of("\\ %\"<>^`{|}") != std::string_view::npos || host.starts_with(':')) {
    return Unusable(facts, uri.text, "the host name is not valid");
  }
  path = path.substr(0, path.find_first_of("?#"));
  uri.path = path.substr(path.rfind('/') == std::string_view::npos ? 0 : path.rfind('/') + 1);
  if (uri.path.empty() || uri.path == "." || uri.path == "..") {
    return Unusable(facts, uri.text, "the URL names no file");
  }
  return {};
}

Status ParseBt(std::string_view rest, SourceUri& uri) {
  const SchemeFacts& facts = FactsOf(Scheme::kBt);
  while (rest.ends_with('/')) rest.remove_suffix(1);
  auto slash = rest.find('/');
  std::string_view head = rest.substr(0, slash);
  uri.path = slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
  if (head.starts_with("loops:")) {
    uri.loops = true;
    uri.bucket = head.substr(6);
    const auto kind_end = uri.path.find('/');
    const std::string kind = uri.path.substr(0, kind_end);
    if (!IsName(uri.bucket) || (kind != "weights" && kind != "sampler_weights") ||
        kind_end == std::string::npos || !IsName(std::string_view(uri.path).substr(kind_end + 1))) {
      return Unusable(facts, uri.text,
                      "a loops run is bt://loops:<run_id>/(weights|sampler_weights)/<checkpoint>");
    }
    return {};
  }
  uri.revision = "latest";
  if (const auto at = head.find('@'); at != std::string_view::npos) {
    uri.revision = head.substr(at + 1);
    head = head.substr(0, at);
  }
  uri.bucket = head;
  const bool plain =
      std::all_of(head.begin(), head.end(), [](char c) { return IsNameChar(c) || c == ' '; });
  if (head.empty() || !plain) return Unusable(facts, uri.text, "the project name is not valid");
  if (!IsName(uri.revision)) {
    return Unusable(facts, uri.text, "the revision is a job id or 'latest'");
  }
  for (std::string_view left = uri.path; !left.empty();) {
    const auto next = left.find('/');
    if (!IsName(left.substr(0, next))) {
      return Unusable(facts, uri.text, "the checkpoint name is not valid");
    }
    left = next == std::string_view::npos ? std::string_view() : left.substr(next + 1);
  }
  return {};
}

}  // namespace

std::string_view SchemeName(Scheme scheme) {
  return FactsOf(scheme).name;
}

std::string SourceUri::Canonical() const {
  const auto with_path = [this](std::string base) {
    return path.empty() ? base : base + "/" + path;
  };
  switch (scheme) {
    case Scheme::kHf:
      return fmt::format("hf://{}/{}/{}@{}", repo_kind, owner, repo,
                         revision.empty() ? "main" : revision);
    case Scheme::kR2:
      return with_path(fmt::format("r2://{}.{}", account, bucket));
    case Scheme::kAzure:
      return with_path(fmt::format("azure://{}/{}", account, bucket));
    case Scheme::kS3:
    case Scheme::kGs:
    case Scheme::kCw:
      return with_path(fmt::format("{}://{}", SchemeName(scheme), bucket));
    case Scheme::kBt:
      return with_path(loops ? fmt::format("bt://loops:{}", bucket)
                             : fmt::format("bt://{}@{}", bucket, revision));
    case Scheme::kHttps: {
      // Host names ignore case (RFC 9110 §4.2.3), and a fragment never reaches the server.
      const std::string_view url = std::string_view(text).substr(0, text.find('#'));
      const auto end = std::min(url.find_first_of("/?", 8), url.size());
      return Lower(url.substr(0, end)) + std::string(url.substr(end));
    }
  }
  return text;
}

Result<SourceUri> ParseSourceUri(std::string_view text) {
  const auto colon = text.find("://");
  if (colon == std::string_view::npos) {
    return Error(Code::kInvalidArgument,
                 fmt::format("Source '{}' is missing a URI scheme. Supported schemes: {}", text,
                             kSupported));
  }
  const std::string_view name = text.substr(0, colon);
  const auto* facts = std::find_if(kSchemes.begin(), kSchemes.end(),
                                   [&](const SchemeFacts& f) { return f.name == name; });
  if (facts == kSchemes.end()) {
    return Error(
        Code::kInvalidArgument,
        fmt::format("Unsupported source scheme '{}://'. Supported schemes: {}", name, kSupported));
  }
  SourceUri uri;
  uri.scheme = facts->scheme;
  uri.text = text;
  const std::string_view rest = text.substr(colon + 3);
  if (rest.empty() || rest.starts_with('/')) return Documented(*facts, text);
  if (text.size() > kUriBytesMax) {
    return Error(Code::kInvalidArgument, fmt::format("Invalid {} {}: it is longer than {} bytes",
                                                     facts->label, facts->noun, kUriBytesMax));
  }
  const bool cloud =
      uri.scheme != Scheme::kHf && uri.scheme != Scheme::kHttps && uri.scheme != Scheme::kBt;
  if (cloud && rest.find('@') != std::string_view::npos) {
    return Error(Code::kInvalidArgument,
                 fmt::format("The @ revision syntax is only valid for HuggingFace sources (hf://). "
                             "Source '{}' uses {} which does not support revisions.",
                             text, facts->label));
  }
  const bool control = std::any_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
  if (control) return Unusable(*facts, text, "it holds a control character");
  switch (uri.scheme) {
    case Scheme::kHf:
      BDN_TRY(ParseHf(rest, uri));
      break;
    case Scheme::kHttps:
      BDN_TRY(ParseHttps(rest, uri));
      break;
    case Scheme::kBt:
      BDN_TRY(ParseBt(rest, uri));
      break;
    default:
      BDN_TRY(ParseBucket(rest, uri));
  }
  return uri;
}

}  // namespace bdn::model
