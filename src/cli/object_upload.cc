#include "cli/object_upload.h"

#include <utility>

#include "store/object_store.h"

namespace bdn::cli {

mirror::ObjectUpload UploadTo(const api::RestClient& control, const std::string& ns) {
  const store::Scope scope{kOrg, ns};
  return {
      .has =
          [&control, scope](const Context& ctx, const crypto::Digest& digest) {
            return control.Exists(ctx, "/" + store::FullKey(scope, digest));
          },
      .put = [&control, scope](const Context& ctx, store::ObjectKind kind,
                               const crypto::Digest& digest,
                               std::span<const std::byte> bytes) -> Status {
        BDN_TRY(control.Call(ctx, "PUT", "/" + store::FullKey(scope, digest),
                             std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()),
                             store::ContentType(kind, false)));
        return {};
      }};
}

std::function<void(const mirror::PushProgress&)> ShowPush(ProgressDisplay& display,
                                                          const Clock& clock,
                                                          std::string label) {
  const MonoTime started = clock.Monotonic();
  return [&display, &clock, started, label = std::move(label)](const mirror::PushProgress& p) {
    api::ProgressBody body;
    body.phase = p.bytes_done == p.bytes ? "writing" : "pushing";
    body.files = p.files;
    body.files_done = p.files_done;
    body.bytes = p.bytes;
    body.bytes_done = p.bytes_done;
    body.bytes_reused = p.bytes_reused;
    const double seconds = std::chrono::duration<double>(clock.Monotonic() - started).count();
    if (seconds > 0) body.rate = static_cast<double>(p.bytes_done) / seconds;
    display.Show({{label, body}});
  };
}

}  // namespace bdn::cli
