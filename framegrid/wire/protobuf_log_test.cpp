#include <framegrid/wire/protobuf_log.hpp>

#include <string>

#include <gtest/gtest.h>

#include <framegrid/wire/livepeer.pb.h>

namespace framegrid::wire {
namespace {

TEST(ProtobufLogTest, StringsThatAreNotUtf8AreRefusedInSilence) {
    silence_protobuf();
    net::S3OSInfo sent;
    sent.set_host("host");
    std::string bytes = sent.SerializeAsString();
    bytes.back() = '\xff';
    net::S3OSInfo got;
    testing::internal::CaptureStderr();
    const bool parsed = got.ParseFromString(bytes);
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
    EXPECT_FALSE(parsed);
}

}  // namespace
}  // namespace framegrid::wire
