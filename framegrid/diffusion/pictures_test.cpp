#include <framegrid/diffusion/pictures.hpp>

#include <framegrid/diffusion/replay_for_test.hpp>
#include <framegrid/diffusion/tensors.hpp>

namespace framegrid::diffusion {
namespace {

namespace json = boost::json;

// The same as picture_fixture.py's.
api::RgbImage formula(int width, int height) {
    api::RgbImage out{.width = width, .height = height, .pixels = {}};
    for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width; ++x) {
            for (int c = 0; c < 3; ++c) {
                const int value = x * 7 + y * 13 + c * 31 + (x * y) % 17 * 9 + (x / 19 + y / 23) % 2 * 100;
                out.pixels.push_back(static_cast<std::uint8_t>(value % 256));
            }
        }
    }
    return out;
}

TEST(pictures, resized_as_pillow_and_diffusers_do) {
    const json::value cases = json::parse(testing::read_fixture("pictures.json"));
    for (const auto& c : cases.as_array()) {
        const std::string kind(c.at("kind").as_string());
        const auto image = formula(c.at("from").at(0).to_number<int>(), c.at("from").at(1).to_number<int>());
        const int width = c.at("to").at(0).to_number<int>();
        const int height = c.at("to").at(1).to_number<int>();
        if (kind == "antialiased") {
            const auto out = resize_antialiased(picture_to_tensor(image), width, height);
            const auto& wanted = c.at("values").as_array();
            for (std::size_t i = 0; i < wanted.size(); ++i) {
                EXPECT_NEAR(out.floats().at(97 * i), wanted[i].to_number<double>(), 1e-4) << image.width;
            }
            continue;
        }
        const auto resized = resize_lanczos(image, width, height);
        ASSERT_TRUE(is_picture(resized));
        if (kind == "mask") {
            const auto mask = mask_to_tensor(resized);
            for (std::size_t i = 0; i < mask.floats().size(); ++i) {
                EXPECT_EQ(mask.floats()[i], c.at("values").at(i).to_number<float>()) << i;
            }
            continue;
        }
        const auto& head = c.at("head").as_array();
        std::int64_t sum = 0;
        for (std::size_t i = 0; i < resized.pixels.size(); ++i) {
            sum += resized.pixels[i];
            if (i < head.size()) {
                EXPECT_NEAR(resized.pixels[i], head[i].to_number<int>(), 1) << i;
            }
        }
        // Pillow filters in fixed point: now and then a value is rounded the other way.
        EXPECT_NEAR(
            static_cast<double>(sum), c.at("sum").to_number<double>(), 0.002 * static_cast<double>(sum)
        );
    }
}

TEST(pictures, to_tensors_and_back) {
    const auto image = formula(7, 5);
    const auto tensor = picture_to_tensor(image);
    EXPECT_EQ(tensor.shape, (Shape{1, 3, 5, 7}));
    EXPECT_EQ(tensor_to_picture(tensor, 0).pixels, image.pixels);
    const auto odd = make_floats({2, 3, 1, 1}, std::vector<float>{0, 0, 0, NAN, 5, -5});
    EXPECT_EQ(tensor_to_picture(odd, 0).pixels, (Bytes{128, 128, 128}));
    EXPECT_EQ(tensor_to_picture(odd, 1).pixels, (Bytes{0, 255, 0}));
    EXPECT_FALSE(is_picture({.width = 2, .height = 2, .pixels = Bytes(11)}));
    EXPECT_FALSE(is_picture({.width = -1, .height = -1, .pixels = Bytes(3)}));
}

TEST(pictures, smaller_tensors) {
    const auto tensor = make_floats({1, 1, 4, 5}, std::vector<float>{0,  1,  2,  3,  4,  5,  6,  7,  8,  9,
                                                                     10, 11, 12, 13, 14, 15, 16, 17, 18, 19});
    EXPECT_EQ(pick_nearest(tensor, 2).floats(), (std::vector<float>{0, 2, 10, 12}));
    EXPECT_EQ(shrink_by_mean(tensor, 2).floats(), (std::vector<float>{3, 5, 13, 15}));
}

}  // namespace
}  // namespace framegrid::diffusion
