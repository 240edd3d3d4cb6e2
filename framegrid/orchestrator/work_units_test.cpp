#include <framegrid/orchestrator/work_units.hpp>

#include <gtest/gtest.h>

namespace framegrid::orchestrator {
namespace {

using namespace std::string_view_literals;

api::Work upscale_of(std::string_view file) {
    api::Work work;
    work.kind = api::AiWork{"upscale", "framegrid/sr-2x", "{}"};
    work.input = Blob::copy_of(file);
    return work;
}

// A pipeline that takes pictures and videos is told neither's name.
TEST(WorkUnits, OfWhatTheFileIs) {
    const auto picture = estimated_units(upscale_of("GIF89a\x20\x00\x10\x00\x00\x00\x00"sv));
    ASSERT_TRUE(picture) << picture.error().message;
    EXPECT_EQ(*picture, 32 * 16);
    const auto video =
        estimated_units(upscale_of("\x00\x00\x00\x18"
                                   "ftypisom\x00\x00\x02\x00isomiso2"sv));
    ASSERT_TRUE(video) << video.error().message;
    EXPECT_EQ(*video, 1024 * 576 * 25);
    EXPECT_EQ(estimated_units(upscale_of("neither")).error().code, Errc::kUnprocessable);
}

}  // namespace
}  // namespace framegrid::orchestrator
