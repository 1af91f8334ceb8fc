#pragma once
// What every Source must do, as typed tests. A provider's test instantiates them with its fixture:
//
//   struct HubFixture {                                    // default constructible, one per test
//     void Publish(const std::string& path, const std::string& content);  // at the publisher
//     source::Source& source();                            // the same one for the whole test
//     const Context& context();
//   };
//   INSTANTIATE_TYPED_TEST_SUITE_P(Hub, SourceConformance, HubFixture);
//
// Publish may be called before and after the source was used. Whether an old pin still serves the
// old bytes (git) or is "source changed" (object stores) is the provider's nature: both pass,
// spliced bytes do not.
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "source/source.h"
#include "source/testing/pattern_bytes.h"

namespace bdn::source::testing {

// The whole of one range; what was received before an error is kept in `partial` when given.
inline Result<std::string> ReadRange(const Context& ctx,
                                     Source& source,
                                     const Pin& pin,
                                     const RemoteFile& file,
                                     net::ByteRange range,
                                     std::string* partial = nullptr) {
  std::string bytes;
  const Status status =
      source.Read(ctx, pin, file, range, [&](std::span<const std::byte> piece) -> Status {
        bytes.append(reinterpret_cast<const char*>(piece.data()), piece.size());
        return {};
      });
  if (partial != nullptr) *partial = bytes;
  if (!status) return status.error();
  return bytes;
}

template <class Fixture>
class SourceConformance : public ::testing::Test {
 protected:
  Pin MustResolve() {
    auto pin = source().Resolve(ctx());
    EXPECT_TRUE(pin) << (pin ? "" : pin.error().message());
    return pin ? *pin : Pin{};
  }
  std::vector<RemoteFile> MustList(const Pin& pin) {
    auto files = source().List(ctx(), pin);
    EXPECT_TRUE(files) << (files ? "" : files.error().message());
    return files ? *files : std::vector<RemoteFile>{};
  }
  static const RemoteFile* Find(const std::vector<RemoteFile>& files, const std::string& path) {
    const auto it = std::find_if(files.begin(), files.end(),
                                 [&](const RemoteFile& f) { return f.path == path; });
    return it == files.end() ? nullptr : &*it;
  }
  Source& source() { return fixture_.source(); }
  const Context& ctx() { return fixture_.context(); }

  Fixture fixture_;
};

TYPED_TEST_SUITE_P(SourceConformance);

TYPED_TEST_P(SourceConformance, ListIsSortedAndCompleteWithSizes) {
  this->fixture_.Publish("z.bin", PatternBytes(10, 1));
  this->fixture_.Publish("a/b/deep.json", "{}");
  this->fixture_.Publish("a/x.bin", PatternBytes(3000, 2));
  const Pin pin = this->MustResolve();
  EXPECT_FALSE(pin.fingerprint.empty());
  EXPECT_FALSE(pin.fingerprint_type.empty());
  EXPECT_FALSE(pin.identity.empty());
  const auto files = this->MustList(pin);
  ASSERT_EQ(files.size(), 3u);
  EXPECT_EQ(files[0].path, "a/b/deep.json");
  EXPECT_EQ(files[0].size, 2u);
  EXPECT_EQ(files[1].path, "a/x.bin");
  EXPECT_EQ(files[1].size, 3000u);
  EXPECT_EQ(files[2].path, "z.bin");
  EXPECT_EQ(files[2].size, 10u);
  for (const RemoteFile& file : files) EXPECT_FALSE(file.etag.empty()) << file.path;
}

TYPED_TEST_P(SourceConformance, ReadGivesExactlyTheRangeInOrder) {
  const std::string content = PatternBytes(100'003, 3);
  this->fixture_.Publish("m.bin", content);
  const Pin pin = this->MustResolve();
  const auto files = this->MustList(pin);
  ASSERT_EQ(files.size(), 1u);
  const std::vector<net::ByteRange> ranges = {
      {0, 100'003}, {0, 1}, {100'002, 100'003}, {4095, 4097}, {50'000, 99'999}};
  for (const net::ByteRange range : ranges) {
    auto bytes = ReadRange(this->ctx(), this->source(), pin, files[0], range);
    ASSERT_TRUE(bytes) << bytes.error().message();
    EXPECT_EQ(*bytes, content.substr(range.begin, range.size()))
        << range.begin << " to " << range.end;
  }
}

TYPED_TEST_P(SourceConformance, EmptyRangeAndEmptyFileCallNothing) {
  this->fixture_.Publish("empty", "");
  this->fixture_.Publish("full", "12345");
  const Pin pin = this->MustResolve();
  const auto files = this->MustList(pin);
  const RemoteFile* empty = this->Find(files, "empty");
  const RemoteFile* full = this->Find(files, "full");
  ASSERT_NE(empty, nullptr);
  ASSERT_NE(full, nullptr);
  EXPECT_EQ(empty->size, 0u);
  int calls = 0;
  const auto count = [&](std::span<const std::byte>) -> Status {
    ++calls;
    return {};
  };
  EXPECT_TRUE(this->source().Read(this->ctx(), pin, *empty, {0, 0}, count));
  EXPECT_TRUE(this->source().Read(this->ctx(), pin, *full, {3, 3}, count));
  EXPECT_EQ(calls, 0);
}

TYPED_TEST_P(SourceConformance, ErrorOfTheSinkComesBackAndEndsTheRead) {
  this->fixture_.Publish("m.bin", PatternBytes(500'000, 4));
  const Pin pin = this->MustResolve();
  const auto files = this->MustList(pin);
  ASSERT_EQ(files.size(), 1u);
  int calls = 0;
  const Status status = this->source().Read(
      this->ctx(), pin, files[0], {0, 500'000}, [&](std::span<const std::byte>) -> Status {
        ++calls;
        return Error(Code::kResourceExhausted, "sink is full");
      });
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), Code::kResourceExhausted);
  EXPECT_EQ(calls, 1);
}

TYPED_TEST_P(SourceConformance, CancelledContextStopsEveryCall) {
  this->fixture_.Publish("m.bin", PatternBytes(1000, 5));
  const Pin pin = this->MustResolve();
  const auto files = this->MustList(pin);
  ASSERT_EQ(files.size(), 1u);
  std::stop_source stop;
  const Context cancelled = this->ctx().WithStop(stop.get_token());
  stop.request_stop();
  const auto resolved = this->source().Resolve(cancelled);
  ASSERT_FALSE(resolved);
  EXPECT_EQ(resolved.error().code(), Code::kCancelled);
  const auto listed = this->source().List(cancelled, pin);
  ASSERT_FALSE(listed);
  EXPECT_EQ(listed.error().code(), Code::kCancelled);
  const auto read = ReadRange(cancelled, this->source(), pin, files[0], {0, 1000});
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code(), Code::kCancelled);
}

TYPED_TEST_P(SourceConformance, ReadsMayRunAtTheSameTime) {
  const std::string content = PatternBytes(64'000, 6);
  this->fixture_.Publish("m.bin", content);
  const Pin pin = this->MustResolve();
  const auto files = this->MustList(pin);
  ASSERT_EQ(files.size(), 1u);
  std::atomic<int> wrong = 0;
  {
    std::vector<std::jthread> threads;
    for (std::uint64_t i = 0; i < 8; ++i) {
      threads.emplace_back([&, i] {
        const net::ByteRange range{i * 8000, (i + 1) * 8000};
        auto bytes = ReadRange(this->ctx(), this->source(), pin, files[0], range);
        if (!bytes || *bytes != content.substr(range.begin, range.size())) ++wrong;
      });
    }
  }
  EXPECT_EQ(wrong, 0);
}

TYPED_TEST_P(SourceConformance, ChangeAfterThePinNeverGivesSplicedBytes) {
  const std::string before = PatternBytes(20'000, 7);
  const std::string after = PatternBytes(20'000, 8);
  this->fixture_.Publish("m.bin", before);
  const Pin pin = this->MustResolve();
  const auto files = this->MustList(pin);
  ASSERT_EQ(files.size(), 1u);
  this->fixture_.Publish("m.bin", after);
  std::string partial;
  const auto bytes =
      ReadRange(this->ctx(), this->source(), pin, files[0], {5000, 20'000}, &partial);
  if (bytes) {
    EXPECT_EQ(*bytes, before.substr(5000)) << "an old pin serves the old bytes or nothing";
  } else {
    EXPECT_EQ(bytes.error().code(), Code::kFailedPrecondition) << bytes.error().message();
    EXPECT_EQ(partial, before.substr(5000, partial.size()));
  }
  const Pin fresh = this->MustResolve();
  EXPECT_NE(fresh.fingerprint, pin.fingerprint);
  EXPECT_EQ(fresh.identity, pin.identity);
  const auto fresh_files = this->MustList(fresh);
  ASSERT_EQ(fresh_files.size(), 1u);
  EXPECT_NE(fresh_files[0].etag, files[0].etag);
  auto now = ReadRange(this->ctx(), this->source(), fresh, fresh_files[0], {0, 20'000});
  ASSERT_TRUE(now) << now.error().message();
  EXPECT_EQ(*now, after);
}

TYPED_TEST_P(SourceConformance, SameStateGivesTheSamePinAndEtags) {
  this->fixture_.Publish("m.bin", PatternBytes(100, 9));
  const Pin first = this->MustResolve();
  const Pin second = this->MustResolve();
  EXPECT_EQ(first.fingerprint, second.fingerprint);
  EXPECT_EQ(first.identity, second.identity);
  const auto a = this->MustList(first);
  const auto b = this->MustList(second);
  ASSERT_EQ(a.size(), 1u);
  ASSERT_EQ(b.size(), 1u);
  EXPECT_EQ(a[0].etag, b[0].etag);
  EXPECT_EQ(a[0].hash, b[0].hash);
}

TYPED_TEST_P(SourceConformance, NamesThatNeedEncodingAreReadable) {
  const std::vector<std::string> names = {
      "a b.txt", "a+b",     "a%2Bb",    "d\xc3\xa9j\xc3\xa0/v\xc3\xbc", "q#?&=;", "~t",
      "x[1]{2}", ".hidden", "quote'\"q"};
  for (std::size_t i = 0; i < names.size(); ++i) {
    this->fixture_.Publish(names[i], "content " + std::to_string(i));
  }
  const Pin pin = this->MustResolve();
  const auto files = this->MustList(pin);
  ASSERT_EQ(files.size(), names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    const RemoteFile* file = this->Find(files, names[i]);
    ASSERT_NE(file, nullptr) << names[i];
    auto bytes = ReadRange(this->ctx(), this->source(), pin, *file, {0, file->size});
    ASSERT_TRUE(bytes) << names[i] << ": " << bytes.error().message();
    EXPECT_EQ(*bytes, "content " + std::to_string(i));
  }
}

REGISTER_TYPED_TEST_SUITE_P(SourceConformance,
                            ListIsSortedAndCompleteWithSizes,
                            ReadGivesExactlyTheRangeInOrder,
                            EmptyRangeAndEmptyFileCallNothing,
                            ErrorOfTheSinkComesBackAndEndsTheRead,
                            CancelledContextStopsEveryCall,
                            ReadsMayRunAtTheSameTime,
                            ChangeAfterThePinNeverGivesSplicedBytes,
                            SameStateGivesTheSamePinAndEtags,
                            NamesThatNeedEncodingAreReadable);

}  // namespace bdn::source::testing
