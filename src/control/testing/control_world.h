#pragma once
// A control plane with its stores, ready for tests: metadata in memory, objects in a temporary
// directory (the server sends files).
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/testing/manual_clock.h"
#include "control/control_plane.h"
#include "crypto/blake3.h"
#include "model/manifest.h"
#include "os/real_fs.h"
#include "os/testing/temp_dir.h"
#include "store/directory_store.h"
#include "store/sqlite_metadata.h"

namespace bdn::control::testing {

struct ControlWorld {
  ControlWorld() {
    auto opened = store::OpenSqliteMetadata(":memory:", {});
    EXPECT_TRUE(opened);
    metadata = *std::move(opened);
    auto directory = store::OpenDirectoryStore(*os::OpenRealFs(dir.path()), clock);
    EXPECT_TRUE(directory);
    objects = *std::move(directory);
    vault = std::make_unique<store::SecretVault>(*metadata, clock, std::string(32, 'k'));
    plane = std::make_unique<ControlPlane>(*metadata, *objects, *vault, clock,
                                           ControlOptions{.queued = [this] { ++queued; }});
  }

  static std::string Config(const std::string& rest = "") {
    return "model_name: demo\n" + rest +
           "weights:\n  - source: hf://owner/one\n    mount_location: /models/one\n"
           "  - source: hf://owner/two\n    mount_location: /models/two\n";
  }
  // Does what a worker does with the next mirror.
  store::Mirror Claim() {
    auto mirror = metadata->ClaimMirror("worker", clock.Now(), std::chrono::seconds(60));
    EXPECT_TRUE(mirror && *mirror);
    return mirror && *mirror ? **mirror : store::Mirror{};
  }
  void Finish(const store::Mirror& mirror, const crypto::Digest& manifest) {
    EXPECT_TRUE(metadata->FinishMirror(
        mirror.id, "worker", manifest,
        {.phase = "done", .files = 2, .files_done = 2, .bytes = 10, .bytes_done = 10},
        clock.Now()));
  }
  void Fail(const store::Mirror& mirror) {
    EXPECT_TRUE(metadata->FailMirror(mirror.id, "worker",
                                     {"permission_denied", "the repository is gated", "ask"}, false,
                                     clock.Now(), clock.Now()));
  }
  crypto::Digest Put(const std::string& ns, store::ObjectKind kind, const std::string& bytes) {
    const auto digest = crypto::Blake3Of(bytes);
    EXPECT_TRUE(objects->Put(ctx, {"default", ns}, kind, digest, std::as_bytes(std::span(bytes))));
    return digest;
  }
  static std::string ManifestOf(const std::string& content) {
    model::Manifest manifest;
    manifest.entries.push_back(
        {.path = "w", .size = content.size(), .digest = crypto::Blake3Of(content)});
    return model::WriteManifest(manifest);
  }
  // A version with one file of that content.
  crypto::Digest PutVersion(const std::string& ns, const std::string& content) {
    Put(ns, store::ObjectKind::kChunk, content);
    return Put(ns, store::ObjectKind::kManifest, ManifestOf(content));
  }

  int queued = 0;  // how often the control plane said so
  bdn::testing::ManualClock clock;
  const Context ctx{clock};
  os::testing::TempDir dir;
  std::unique_ptr<store::Metadata> metadata;
  std::unique_ptr<store::ObjectStore> objects;
  std::unique_ptr<store::SecretVault> vault;
  std::unique_ptr<ControlPlane> plane;
};

}  // namespace bdn::control::testing
