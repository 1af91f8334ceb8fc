#include "source/secret_check.h"

#include <string>

#include <gtest/gtest.h>

namespace bdn::source {
namespace {

std::string NotesOf(std::string_view name, std::string_view value) {
  const auto checked = CheckSecret(name, value);
  if (!checked) return "error: " + checked.error().message() + " | " + checked.error().hint();
  std::string notes;
  for (const auto& note : checked->notes) notes += note + "|";
  return notes;
}

std::string ValueOf(std::string_view value) {
  const auto checked = CheckSecret("x", value);
  return checked ? checked->value : "error: " + checked.error().message();
}

TEST(CheckSecret, CutsBlanksAroundTokensAndSaysSo) {
  EXPECT_EQ(ValueOf("hf_abc\n"), "hf_abc");
  EXPECT_EQ(NotesOf("hf", "hf_abc\n"), "") << "the line end of echo is nothing to talk about";
  EXPECT_EQ(ValueOf("  hf_abc \r\n\n"), "hf_abc");
  EXPECT_EQ(NotesOf("hf", " hf_abc"), "blanks around the value were cut|");
  EXPECT_EQ(ValueOf(" \n"), "error: the value of the secret is empty");
}

TEST(CheckSecret, LeavesTextsOfSeveralLinesAlone) {
  EXPECT_EQ(ValueOf("-----BEGIN KEY-----\n ab \n-----END KEY-----\n"),
            "-----BEGIN KEY-----\n ab \n-----END KEY-----");
}

TEST(CheckSecret, KnowsTokensThatAreForAnotherPlace) {
  EXPECT_NE(NotesOf("hf_access_token", "sk-abc").find("begin with hf_"), std::string::npos);
  EXPECT_NE(NotesOf("huggingface", "hf_a b").find("no blanks"), std::string::npos);
  EXPECT_NE(NotesOf("s3", "AKIAIOSFODNN7EXAMPLE").find("id of an AWS key alone"),
            std::string::npos);
  EXPECT_EQ(NotesOf("anything", "sk-abc"), "");
}

TEST(CheckSecret, SaysAtOnceThatANameIsWrong) {
  const std::string s3 = NotesOf("s3", R"({"access_key_id": "AK", "secret_access_key": "hush"})");
  EXPECT_TRUE(s3.starts_with(
      "error: aws_access_key_id and aws_secret_access_key are required in S3 credentials"))
      << s3;
  EXPECT_NE(s3.find("'access_key_id' must be named aws_access_key_id"), std::string::npos) << s3;
  EXPECT_EQ(s3.find("hush"), std::string::npos);
  EXPECT_TRUE(NotesOf("a", R"({"sas_token": "sv=1&sig=hush"})")
                  .starts_with("error: azure_account_key, azure_sas_token, or azure_tenant_id"));
  EXPECT_TRUE(
      NotesOf("g", R"({"type": "service_account", "private_key": "hush"})").starts_with("error: "));
  EXPECT_TRUE(NotesOf("a", "AccountName=acme;AccountKey=no!").starts_with("error: Azure cred"));
  EXPECT_TRUE(NotesOf("a", "{\"aws_access_key_id\": \"AK\",}").starts_with("error: the value has"));
}

TEST(CheckSecret, SaysForEverySpellingWhatTheNamesMustBe) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"aws_access_key": "AK", "aws_secret_key": "hush"})",
       "'aws_access_key' must be named aws_access_key_id"},
      {R"({"access_key": "AK", "secret_key": "hush"})",
       "'secret_key' must be named aws_secret_access_key"},
      {R"({"aws_key": "AK", "aws_secret": "hush"})",
       "'aws_secret' must be named aws_secret_access_key"},
      {R"({"aws_acces_key_id": "AK", "aws_secret_acces_key": "hush"})",
       "'aws_acces_key_id' must be named aws_access_key_id"},
      {R"({"myAwsKey": "AK", "secret": "hush"})", "aws_secret_access_key is missing"},
      {R"({"acces_key": "AK", "secret_acces_key": "hush"})", "are required in S3 credentials"},
      {R"({"tenant_id": "t", "client_id": "c", "client_secret": "hush"})",
       "azure_tenant_id and azure_client_id"},
      {R"({"type": "authorized_user", "refresh_token": "hush"})", "a person's login by gcloud"},
      {R"({"type": "external_account", "audience": "hush"})", "set auth_method: GCP_OIDC"},
      {R"({"private_key": "hush", "token_uri": "https://oauth2.googleapis.com/token"})",
       "The GCS secret has no \"type\""},
      {R"({"header": {"X-Api-Key": "hush"}})", "has no object 'headers'"},
  };
  for (const auto& [value, part] : cases) {
    const std::string notes = NotesOf("mine", value);
    EXPECT_TRUE(notes.starts_with("error: ")) << value << " → " << notes;
    EXPECT_NE(notes.find(part), std::string::npos) << notes;
    EXPECT_EQ(notes.find("hush"), std::string::npos) << notes;
  }
}

TEST(CheckSecret, TakesWhatIsRight) {
  EXPECT_EQ(NotesOf("s3", R"({"aws_access_key_id": "AK", "aws_secret_access_key": "SK"})"), "");
  EXPECT_NE(NotesOf("s3", R"({"aws_access_key_id": "AK", "aws_secret_access_key": "SK", "x": 1})")
                .find("key 'x', which is not used"),
            std::string::npos);
  EXPECT_EQ(NotesOf("a", "?sv=2021-12-02&sp=rl&se=2099-01-01T00:00:00Z&sig=abc"),
            "the SAS token ends at 2099-01-01T00:00:00Z|");
}

TEST(CheckSecret, DoesNotMeddleWithAModelsOwnSecrets) {
  EXPECT_EQ(NotesOf("mine", R"({"token": "a", "access": {"key": 1}})"), "");
  EXPECT_EQ(NotesOf("mine", R"(["a"])"), "");
  for (const char* own :
       {R"({"laws": "a", "raw_schema": "b", "draws_key": "c"})",
        R"({"client_id": "a", "client_secret": "b"})", R"({"secret_key": "a"})",
        R"({"access_token": "a", "refresh_token": "b"})", R"({"private_key": "a"})",
        R"({"type": "user", "tenant_id": "a"})", R"({"header": "a"})",
        R"({"header": {"alg": "RS256"}, "payload": {}})", R"({"headers": {"X-Api-Key": "a"}})"}) {
    EXPECT_EQ(NotesOf("mine", own), "") << own;
  }
  EXPECT_NE(NotesOf("mine", "{mustache}").find("stored as it is"), std::string::npos);
}

TEST(SecretProblem, SaysTheDocumentedSentences) {
  const auto problem = [](model::Scheme scheme, const std::string& secret) {
    const auto found = SecretProblem(scheme, secret);
    return found ? found->message() : "";
  };
  for (const auto scheme : {model::Scheme::kS3, model::Scheme::kR2, model::Scheme::kCw}) {
    EXPECT_EQ(problem(scheme, "hf_token"),
              "aws_access_key_id and aws_secret_access_key are required in S3 credentials");
  }
  EXPECT_NE(problem(model::Scheme::kAzure, "{}"), "");
  EXPECT_EQ(problem(model::Scheme::kAzure, "sv=1&sig=a"), "");
  EXPECT_EQ(problem(model::Scheme::kHf, "hf_token"), "");
  EXPECT_EQ(problem(model::Scheme::kHttps, "anything"), "");
}

}  // namespace
}  // namespace bdn::source
