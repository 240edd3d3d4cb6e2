#include <framegrid/wire/early_renditions.hpp>

#include <algorithm>

#include <framegrid/wire/livepeer.pb.h>

#include <gtest/gtest.h>

namespace framegrid::wire {
namespace {

const EarlyRendition kFirst{2, "https://o/stream/s/P240/1.ts", Pixels{100}};
const EarlyRendition kSecond{0, std::string(300, 'u'), Pixels{1'000'000'000'000}};

std::string result() {
    net::TranscodeResult message;
    message.set_seq(7);
    message.mutable_data()->add_segments()->set_url("u");
    return message.SerializeAsString();
}

TEST(EarlyRenditions, AreFoundAsTheyArriveWhateverThePieces) {
    const std::string answer = write_early_rendition(kFirst) + write_early_rendition(kSecond) + result();
    for (std::size_t step = 1; step <= answer.size(); ++step) {
        EarlyRenditionReader reader;
        std::vector<EarlyRendition> found;
        for (std::size_t have = 0; have < answer.size();) {
            have = std::min(have + step, answer.size());
            for (auto& one : reader.read(std::string_view(answer).substr(0, have))) {
                found.push_back(std::move(one));
            }
        }
        EXPECT_EQ(found, (std::vector{kFirst, kSecond})) << step;
    }
    EarlyRenditionReader reader;
    EXPECT_EQ(reader.read(write_early_rendition(kFirst)), std::vector{kFirst})
        << "before anything else is there";
}

TEST(EarlyRenditions, AreOneMessageWithTheResult) {
    net::TranscodeResult whole;
    ASSERT_TRUE(
        whole.ParseFromString(write_early_rendition(kFirst) + write_early_rendition(kSecond) + result())
    );
    EXPECT_EQ(whole.seq(), 7);
    EXPECT_EQ(whole.data().segments_size(), 1);
    EXPECT_EQ(whole.early_size(), 2);
}

TEST(EarlyRenditions, TheFieldIsWherePeersHaveNone) {
    const std::string bytes = write_early_rendition(kFirst);
    EXPECT_EQ(bytes.substr(0, 2), "\xca\x3e") << "1001, length-delimited";
}

TEST(EarlyRenditions, OtherAnswersHoldNone) {
    for (const std::string& answer :
         {result(), std::string(), std::string("\0\0\0\0", 4), std::string("\xca\x3e\xff\xff\xff\xff\x0f"),
          std::string("\xca\x3e\x02\xff\xff") + write_early_rendition(kFirst)}) {
        EarlyRenditionReader reader;
        EXPECT_TRUE(reader.read(answer).empty());
        EXPECT_TRUE(reader.read(answer + write_early_rendition(kFirst)).empty() || answer.empty());
    }
    net::TranscodeResult negative;
    negative.add_early()->mutable_segment()->set_pixels(-1);
    EarlyRenditionReader reader;
    EXPECT_TRUE(reader.read(negative.SerializeAsString()).empty());
}

}  // namespace
}  // namespace framegrid::wire
