#include "cli/terminal.h"

#include <gtest/gtest.h>

namespace bdn::cli {
namespace {

TEST(Format, BytesHaveThreeDigitsAndAUnit) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(999), "999 B");
  EXPECT_EQ(FormatBytes(1000), "1.0 kB");
  EXPECT_EQ(FormatBytes(999'600), "1.0 MB");
  EXPECT_EQ(FormatBytes(1.5e9), "1.5 GB");
  EXPECT_EQ(FormatBytes(140e9), "140 GB");
}

TEST(Format, SecondsAreReadable) {
  EXPECT_EQ(FormatSeconds(0.012), "12 ms");
  EXPECT_EQ(FormatSeconds(7.25), "7.2 s");
  EXPECT_EQ(FormatSeconds(59.6), "1 min 00 s");
  EXPECT_EQ(FormatSeconds(3725), "1 h 02 min");
}

TEST(Format, EllipsizeKeepsBothEndsAndCountsCharacters) {
  EXPECT_EQ(Ellipsize("abcdef", 6), "abcdef");
  EXPECT_EQ(Ellipsize("abcdefgh", 5), "ab…gh");
  EXPECT_EQ(Ellipsize("äöüäöü", 4), "ä…öü");
}

TEST(Progress, ABarNeverExceedsItsColumns) {
  ProgressLine line{"hf://some-owner/a-very-long-repository-name@main", {}};
  line.progress = {.phase = "fetching",
                   .files = 10,
                   .bytes = 1'000'000'000,
                   .bytes_done = 450'000'000,
                   .rate = 1e8,
                   .eta = 5.5};
  for (std::size_t columns = 20; columns < 200; ++columns) {
    std::size_t width = 0;
    for (const char c : BarLine(line, columns)) {
      if ((static_cast<unsigned char>(c) & 0xC0) != 0x80) ++width;
    }
    EXPECT_LE(width, columns);
  }
  EXPECT_NE(BarLine(line, 120).find(" 45 %"), std::string::npos);
}

TEST(Progress, AHeartbeatSaysWhatIsKnown) {
  ProgressLine line{"m", {.phase = "listing"}};
  EXPECT_EQ(HeartbeatLine(line), "m: listing");
  line.progress = {.phase = "fetching",
                   .files = 2,
                   .files_done = 1,
                   .bytes = 100,
                   .bytes_done = 50,
                   .bytes_reused = 10,
                   .rate = 5,
                   .eta = 10};
  EXPECT_EQ(HeartbeatLine(line),
            "m: fetching, 1 of 2 files, 50 B of 100 B (50 %), 10 B reused, 5 B/s, 10 s left");
}

}  // namespace
}  // namespace bdn::cli
