#include <framegrid/http/text.hpp>

#include <string>

#include <gtest/gtest.h>

namespace framegrid::http {
namespace {

TEST(FieldValue, RefusesControlCharactersWhereverTheyAre) {
    for (int byte = 0; byte < 256; ++byte) {
        const bool good = (byte >= 0x20 || byte == '\t') && byte != 0x7F;
        for (std::size_t size = 1; size <= 20; ++size) {
            for (std::size_t at = 0; at < size; ++at) {
                std::string text(size, at % 2 == 0 ? '~' : '\xFF');
                text[at] = static_cast<char>(byte);
                ASSERT_EQ(is_field_value(text), good) << byte << " at " << at << " of " << size;
                text[size - 1 - at] = '\t';
                ASSERT_EQ(is_field_value(text), good || size - 1 - at == at) << byte << " beside a tab";
            }
        }
    }
    EXPECT_TRUE(is_field_value(""));
}

TEST(Token, HasTheCharactersOfRfc9110) {
    int count = 0;
    for (int byte = 0; byte < 256; ++byte) {
        count += is_token(std::string(1, static_cast<char>(byte))) ? 1 : 0;
    }
    EXPECT_EQ(count, 15 + 10 + 26 + 26);
    EXPECT_TRUE(is_token("x-framegrid-receipt"));
    EXPECT_FALSE(is_token("x framegrid"));
    EXPECT_FALSE(is_token("x:y"));
    EXPECT_FALSE(is_token(""));
}

}  // namespace
}  // namespace framegrid::http
