#pragma once
// What a user pastes into AWS and Google Cloud so that they trust the issuer. Pure; docs/oidc.md
// explains each step.
#include <string>

#include <boost/json/object.hpp>

#include "api/identity.h"

namespace bdn::cli {

// Subjects of the mirrors of one model, whatever the deployment, as AWS's StringLike takes it.
std::string SubjectPattern(const api::OidcBody& oidc);
// ACCOUNT stands for the account's twelve digits.
boost::json::object AwsTrustPolicy(const api::OidcBody& oidc);
std::string AwsProviderCommand(const api::OidcBody& oidc);
// An attribute condition of Google's: the organisation's mirrors and nobody else.
std::string GcpCondition(const api::OidcBody& oidc);
// Shell commands, one a paragraph. PROJECT, PROJECT_NUMBER and SERVICE_ACCOUNT are the user's.
std::string GcpCommands(const api::OidcBody& oidc);

// The whole page that `bdn oidc show` prints below the keys.
std::string OidcGuide(const api::OidcBody& oidc);

}  // namespace bdn::cli
