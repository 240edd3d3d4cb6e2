#include <framegrid/http/multipart.hpp>

#include <gtest/gtest.h>

namespace framegrid::http {
namespace {

Result<std::vector<Part>> parse(
    std::string_view text, std::string_view boundary = "b", MultipartLimits limits = {}
) {
    return parse_multipart(Blob::copy_of(text), boundary, limits);
}

TEST(Boundary, QuotedOrNot) {
    EXPECT_EQ(boundary_of("multipart/mixed; boundary=abc").value(), "abc");
    EXPECT_EQ(boundary_of("Multipart/Form-Data; charset=x; Boundary=\"a b:c\"").value(), "a b:c");
    for (const char* bad :
         {"", "text/plain; boundary=a", "multipart/mixed",
          "multipart/mixed; boundary=", "multipart/mixed; boundary=\"a", "multipart/mixed; boundary=a\r\nb",
          "multipart/mixed; boundary=\"a \""}) {
        EXPECT_FALSE(boundary_of(bad)) << bad;
    }
    EXPECT_FALSE(boundary_of("multipart/mixed; boundary=" + std::string(71, 'x')));
}

TEST(ParseMultipart, FormData) {
    const auto parts = parse(
        "preamble\r\n--b\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a \\\"b\\\".png\"\r\n"
        "Content-Type: image/png\r\n\r\n\x89PNG\r\n--x\r\n\r\n--b  \r\n\r\nplain\r\n--b\r\nX: "
        "\r\n\r\n\r\n--b--\r\nrest"
    );
    ASSERT_TRUE(parts) << parts.error().message;
    ASSERT_EQ(parts->size(), 3u);
    EXPECT_EQ((*parts)[0].name, "image");
    EXPECT_EQ((*parts)[0].filename, "a \"b\".png");
    EXPECT_EQ((*parts)[0].headers.get("content-type"), "image/png");
    EXPECT_EQ((*parts)[0].body.text(), "\x89PNG\r\n--x\r\n");
    EXPECT_EQ((*parts)[1].body.text(), "plain");
    EXPECT_TRUE((*parts)[2].body.empty());
    EXPECT_EQ((*parts)[2].headers.get("x"), "");
}

TEST(ParseMultipart, BodiesAreWindows) {
    const Blob message = Blob::copy_of("--b\r\n\r\n0123456789\r\n--b--");
    const auto parts = parse_multipart(message, "b");
    ASSERT_TRUE(parts);
    EXPECT_EQ((*parts)[0].body.data(), message.data() + 7);
}

TEST(ParseMultipart, EmptyBodyMayShareTheHeadersEnd) {
    const auto parts = parse("--b\r\nA: 1\r\n\r\n--b--");
    ASSERT_TRUE(parts);
    ASSERT_EQ(parts->size(), 1u);
    EXPECT_TRUE((*parts)[0].body.empty());
}

TEST(ParseMultipart, RefusesWhatIsIncomplete) {
    for (const char* bad :
         {"", "hello", "--b", "--b\r\n", "--b\r\nA: 1", "--b\r\nA: 1\r\n\r\nbody",
          "--b\r\nA: 1\r\n\r\nbody\r\n--bb--", "--b\r\nno colon\r\n\r\nx\r\n--b--",
          "--b\r\n: x\r\n\r\nx\r\n--b--", "--b\r\nA b: x\r\n\r\nx\r\n--b--",
          "--b\r\nA: \x01\r\n\r\nx\r\n--b--", "\n--b\n\nbody\n--b--"}) {
        const auto parts = parse(bad);
        ASSERT_FALSE(parts) << bad;
        EXPECT_EQ(parts.error().code, Errc::kInvalidArgument);
    }
}

TEST(ParseMultipart, Limits) {
    std::string many;
    for (int i = 0; i < 5; ++i) {
        many += "--b\r\n\r\nx\r\n";
    }
    many += "--b--";
    EXPECT_EQ(parse(many, "b", {.parts_max = 5, .header_bytes_max = 100}).value().size(), 5u);
    EXPECT_EQ(parse(many, "b", {.parts_max = 4, .header_bytes_max = 100}).error().code, Errc::kTooLarge);
    const std::string fat = "--b\r\nA: " + std::string(200, 'x') + "\r\n\r\nx\r\n--b--";
    EXPECT_EQ(parse(fat, "b", {.parts_max = 4, .header_bytes_max = 100}).error().code, Errc::kTooLarge);
    EXPECT_TRUE(parse(fat));
}

TEST(FormatMultipart, RoundTrip) {
    std::vector<Part> parts(3);
    parts[0].headers = {{"content-type", "video/mp2t"}, {"rendition-name", "720p"}};
    parts[0].body = Blob(Bytes(3'000'000, 0x47));
    parts[1].name = "fie\"ld";
    parts[1].filename = "a.ts";
    parts[1].body = Blob::copy_of("--b\r\n");
    const auto pieces = format_multipart(parts, "frontier");
    EXPECT_EQ(pieces[1].data(), parts[0].body.data());  // not copied
    const Blob message = join(pieces);
    EXPECT_EQ(message.size(), total_size(pieces));
    EXPECT_TRUE(message.text().starts_with(
        "--frontier\r\nContent-Type: video/mp2t\r\nRendition-Name: 720p\r\n\r\n\x47"
    ));
    const auto back = parse_multipart(message, "frontier");
    ASSERT_TRUE(back);
    ASSERT_EQ(back->size(), 3u);
    EXPECT_EQ((*back)[0].body.size(), 3'000'000u);
    EXPECT_EQ((*back)[1].name, "fie\"ld");
    EXPECT_EQ((*back)[1].filename, "a.ts");
    EXPECT_EQ((*back)[1].body.text(), "--b\r\n");
    EXPECT_TRUE((*back)[2].body.empty());
}

TEST(FormatMultipart, NoParts) {
    EXPECT_EQ(join(format_multipart({}, "b")).text(), "--b--\r\n");
    const auto back = parse("--b--\r\n");
    ASSERT_TRUE(back);
    EXPECT_TRUE(back->empty());
}

}  // namespace
}  // namespace framegrid::http
