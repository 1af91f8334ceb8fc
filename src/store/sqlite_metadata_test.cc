#include "store/sqlite_metadata.h"

#include <gtest/gtest.h>

#include "os/testing/temp_dir.h"
#include "store/sqlite_schema.h"

namespace bdn::store {
namespace {

TEST(SecretKey, IgnoresCaseAndWhatIsNotALetterOrDigit) {
  EXPECT_EQ(SecretKey("HF_access-token 2"), "hfaccesstoken2");
  EXPECT_EQ(SecretKey("hf_access_token"), SecretKey("hf-access-token"));
  EXPECT_EQ(SecretKey("--"), "");
}

TEST(SqliteMetadata, RemembersAcrossOpens) {
  const os::testing::TempDir dir;
  for (const bool first : {true, false}) {
    const auto metadata = OpenSqliteMetadata(dir.path() + "/metadata.db");
    ASSERT_TRUE(metadata) << metadata.error().message();
    if (first) {
      ASSERT_TRUE((*metadata)->PutSetting("a", "1"));
    }
    EXPECT_EQ(*(*metadata)->GetSetting("a"), "1");
  }
}

}  // namespace
}  // namespace bdn::store
