#pragma once
// Where the keys that sign requests come from: a secret, for ever the same, or an exchange that
// gives others when the last ones end (source/aws_role.h).
#include <memory>
#include <utility>

#include "auth/sigv4.h"
#include "base/context.h"
#include "base/result.h"

namespace bdn::cloud {

// Thread-safe.
class AwsCredentialsProvider {
 public:
  virtual ~AwsCredentialsProvider() = default;
  // Keys that are good now; may wait for an exchange. A request that was signed with earlier keys
  // is not concerned. Errors: of the exchange, with what to do.
  virtual Result<auth::AwsCredentials> Get(const Context& ctx) = 0;
  // A service says that `used` have expired or are not valid. True: the next Get gives others, so
  // the request is worth one more try.
  virtual bool Refused(const auth::AwsCredentials& used) = 0;
};

// Keys from a secret: nobody renews them.
class StaticAwsCredentials final : public AwsCredentialsProvider {
 public:
  explicit StaticAwsCredentials(auth::AwsCredentials keys) : keys_(std::move(keys)) {}
  Result<auth::AwsCredentials> Get(const Context& /*ctx*/) override { return keys_; }
  bool Refused(const auth::AwsCredentials& /*used*/) override { return false; }

 private:
  const auth::AwsCredentials keys_;
};

}  // namespace bdn::cloud
