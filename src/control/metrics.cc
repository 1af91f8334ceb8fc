#include "control/metrics.h"

#include <map>

#include <prometheus/gauge.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

namespace bdn::control {
namespace {

constexpr std::size_t kDeploymentsMax = 1000;

void Gauge(prometheus::Registry& registry,
           const std::string& name,
           const std::string& help,
           const std::map<std::string, double>& by_label,
           const std::string& label) {
  auto& family = prometheus::BuildGauge().Name(name).Help(help).Register(registry);
  for (const auto& [value, number] : by_label) family.Add({{label, value}}).Set(number);
}

void Gauge(prometheus::Registry& registry,
           const std::string& name,
           const std::string& help,
           double number) {
  prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add({}).Set(number);
}

}  // namespace

Result<std::string> RenderMetrics(store::Metadata& metadata, ControlPlane& control) {
  prometheus::Registry registry;
  BDN_ASSIGN(const auto deployments, control.List(kDeploymentsMax, ""));
  std::map<std::string, double> by_status{
      {"ACTIVE", 0}, {"DEPLOYING", 0}, {"DEPLOY_FAILED", 0}, {"INACTIVE", 0}};
  double bytes = 0;
  double reused = 0;
  for (const auto& deployment : deployments) {
    by_status[deployment.status] += 1;
    bytes += static_cast<double>(deployment.progress.bytes);
    reused += static_cast<double>(deployment.progress.bytes_reused);
  }
  BDN_ASSIGN(const auto open, metadata.ListOpenMirrors());
  // Every phase at every time: a series that comes and goes cannot be alerted on.
  std::map<std::string, double> by_phase{
      {"queued", 0}, {"resolving", 0}, {"listing", 0}, {"fetching", 0}, {"writing", 0}};
  double rate = 0;
  for (const auto& mirror : open) {
    by_phase[mirror.progress.phase] += 1;
    rate += mirror.progress.rate;
  }
  Gauge(registry, "bdn_deployments", "Deployments by status (the newest 1000).", by_status,
        "status");
  Gauge(registry, "bdn_mirrors_open", "Queued and running mirrors by phase.", by_phase, "phase");
  Gauge(registry, "bdn_mirror_bytes_per_second", "Bytes fetched per second by running mirrors.",
        rate);
  Gauge(registry, "bdn_deployment_bytes", "Bytes of the weights of those deployments.", bytes);
  Gauge(registry, "bdn_deployment_bytes_reused", "Of these, bytes that were not fetched again.",
        reused);
  return prometheus::TextSerializer().Serialize(registry.Collect());
}

}  // namespace bdn::control
