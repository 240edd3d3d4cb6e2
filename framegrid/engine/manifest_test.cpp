#include <framegrid/engine/manifest.hpp>

#include <gtest/gtest.h>

#include <framegrid/crypto/hash.hpp>

namespace framegrid::engine {
namespace {

const std::string kGood = R"(
id = "framegrid/sr-2x"
pipeline = "upscale"
version = 3
description = "text"
licence = "Apache-2.0"
memory_bytes = 1000000
future_key = { a = 1 }

[[files]]
path = "model.onnx"
bytes = 5
sha256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

[[files]]
path = "sub/notes.txt"
sha256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

[network]
format = "onnx"
file = "model.onnx"
input = { name = "tiles", type = "float32", shape = ["n", 3, "h", "w"] }
output = { name = "upscaled", type = "float32", shape = ["n", 3, "h*2", "w*2"] }

[image]
scale = 2
tile = 256
overlap = 8
batch = 4
)";

std::string replaced(std::string text, const std::string& from, const std::string& to) {
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
}

std::string field_of(const std::string& toml) {
    const auto result = parse_manifest(toml);
    EXPECT_FALSE(result.has_value());
    return result ? "" : result.error().field;
}

class FakeFiles : public FileReader {
  public:
    explicit FakeFiles(std::string content) : content_(std::move(content)) {}
    Result<Blob> read(const std::string& path, std::int64_t bytes_max) override {
        if (path != "model.onnx") {
            return fail(Errc::kNotFound, path + " is missing");
        }
        if (static_cast<std::int64_t>(content_.size()) > bytes_max) {
            return fail(Errc::kTooLarge, path + " is too large");
        }
        return Blob::copy_of(std::string_view(content_));
    }

  private:
    std::string content_;
};

TEST(Manifest, ReadsEveryField) {
    const auto manifest = parse_manifest(kGood);
    ASSERT_TRUE(manifest) << manifest.error().message;
    EXPECT_EQ(manifest->id, "framegrid/sr-2x");
    EXPECT_EQ(manifest->pipelines, std::vector<std::string>{"upscale"});
    EXPECT_EQ(manifest->layout, ModelLayout::kImage);
    EXPECT_EQ(manifest->version, 3);
    EXPECT_EQ(manifest->licence, "Apache-2.0");
    EXPECT_EQ(manifest->memory_bytes, 1'000'000);
    ASSERT_EQ(manifest->files.size(), 2U);
    EXPECT_EQ(manifest->files[0].bytes, 5);
    EXPECT_EQ(manifest->files[1].path, "sub/notes.txt");
    EXPECT_EQ(manifest->input.shape, (std::vector<std::string>{"n", "3", "h", "w"}));
    EXPECT_EQ(manifest->output.name, "upscaled");
    EXPECT_EQ(manifest->image.scale, 2);
    EXPECT_EQ(manifest->image.overlap, 8);
}

TEST(Manifest, NamesTheFieldAtFault) {
    EXPECT_EQ(field_of(replaced(kGood, "id = \"framegrid/sr-2x\"", "")), "id");
    EXPECT_EQ(field_of(replaced(kGood, "framegrid/sr-2x", "../sr-2x")), "id");
    EXPECT_EQ(field_of(replaced(kGood, "framegrid/sr-2x", "a/b/c")), "id");
    EXPECT_EQ(field_of(replaced(kGood, "\"upscale\"", "7")), "pipeline");
    EXPECT_EQ(field_of(replaced(kGood, "memory_bytes = 1000000", "memory_bytes = -1")), "memory_bytes");
    EXPECT_EQ(field_of(replaced(kGood, "memory_bytes = 1000000", "memory_bytes = 1.5")), "memory_bytes");
    EXPECT_EQ(field_of(replaced(kGood, "bytes = 5", "bytes = \"5\"")), "files[0].bytes");
    EXPECT_EQ(field_of(replaced(kGood, "2cf24", "XYZ24")), "files[0].sha256");
    EXPECT_EQ(field_of(replaced(kGood, "sub/notes.txt", "model.onnx")), "files[1].path");
    EXPECT_EQ(field_of(replaced(kGood, "format = \"onnx\"", "format = \"pickle\"")), "network.format");
    EXPECT_EQ(field_of(replaced(kGood, "file = \"model.onnx\"", "file = \"other\"")), "network.file");
    EXPECT_EQ(field_of(replaced(kGood, "name = \"tiles\", ", "")), "network.input.name");
    EXPECT_EQ(field_of(replaced(kGood, "[\"n\", 3, \"h\", \"w\"]", "[\"n\", -3]")), "network.input.shape[1]");
    EXPECT_EQ(field_of(replaced(kGood, "[\"n\", 3, \"h\", \"w\"]", "4")), "network.input.shape");
    EXPECT_EQ(field_of(replaced(kGood, "scale = 2", "scale = 99")), "image.scale");
    EXPECT_EQ(field_of(replaced(kGood, "overlap = 8", "overlap = 128")), "image.overlap");
    EXPECT_EQ(field_of(replaced(kGood, "[image]", "[picture]")), "image");
    EXPECT_EQ(
        field_of("files = 3\n" + replaced(kGood, "[[files]]", "[[fils]]")), ""
    );  // a TOML error by itself
    EXPECT_EQ(field_of(""), "id");
}

TEST(Manifest, ReadsHowTilesAreCut) {
    const auto read = [](const std::string& from, const std::string& to) {
        return parse_manifest(replaced(kGood, from, to));
    };
    const auto plain = parse_manifest(kGood);
    ASSERT_TRUE(plain);
    EXPECT_EQ(plain->image.edges, Edges::kRepeat);
    EXPECT_EQ(plain->image.fixed, media::Size{});
    EXPECT_FALSE(plain->image.is_guess);
    EXPECT_TRUE(read("scale = 2", "")->image.is_guess);
    const auto all = read("scale = 2", "scale = 2\nmultiple = 4\nedges = \"mirror\"\nvalue_max = 255");
    ASSERT_TRUE(all) << all.error().message;
    EXPECT_EQ(all->image.multiple, 4);
    EXPECT_EQ(all->image.edges, Edges::kMirror);
    EXPECT_EQ(all->image.value_max, 255);
    const auto again = parse_manifest(format_manifest(*all));
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(again->image.multiple, 4);
    EXPECT_EQ(again->image.edges, Edges::kMirror);
    EXPECT_EQ(again->image.value_max, 255);
    const std::string shape = R"(["n", 3, "h", "w"])";
    EXPECT_EQ(read(shape, R"([1, 3, 64, 128])")->image.fixed, (media::Size{128, 64}));
    EXPECT_EQ(read(shape, R"([1, 64, "w", 3])")->image.fixed, (media::Size{0, 64}));
    const std::string beside = "\nscale = 2";
    EXPECT_EQ(field_of(replaced(kGood, beside, "\nscale = 2\nedges = \"odd\"")), "image.edges");
    EXPECT_EQ(field_of(replaced(kGood, beside, "\nscale = 2\nvalue_max = 7")), "image.value_max");
    EXPECT_EQ(field_of(replaced(kGood, beside, "\nscale = 2\nmultiple = 0")), "image.multiple");
    EXPECT_EQ(field_of(replaced(kGood, beside, "\nscale = 2\nmultiple = 256")), "image.overlap");
    EXPECT_EQ(field_of(replaced(kGood, shape, "[1, 3, 16, 16]")), "image.overlap");
    EXPECT_EQ(field_of(replaced(kGood, shape, "[1, 3, 64, 5000]")), "network.input.shape[3]");
}

// Such a name of a side came back as a number that TOML does not know.
TEST(Manifest, SidesWithLeadingZerosComeBack) {
    auto manifest = parse_manifest(replaced(kGood, "[\"n\", 3,", "[\"007\", 3,"));
    ASSERT_TRUE(manifest) << manifest.error().message;
    const auto again = parse_manifest(format_manifest(*manifest));
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(again->input.shape, manifest->input.shape);
}

TEST(Manifest, RefusesPathsThatLeaveTheDirectory) {
    EXPECT_TRUE(parse_manifest(replaced(kGood, "sub/notes.txt", "my notes (1).txt")));
    for (const char* path :
         {"../model.onnx", "/etc/passwd", "a/../b", "a//b", "./a", ".hidden", "a/", "C:\\\\x", "C:x",
          "a\\u0000b", ""}) {
        EXPECT_EQ(field_of(replaced(kGood, "sub/notes.txt", path)), "files[1].path") << path;
    }
}

TEST(Manifest, NotTomlIsAnErrorWithTheLine) {
    const auto result = parse_manifest("id = \"a/b\"\nwhat is this");
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::kInvalidArgument);
    EXPECT_NE(result.error().message.find("line 2"), std::string::npos) << result.error().message;
    EXPECT_FALSE(parse_manifest(std::string(kManifestBytesMax + 1, '\n')));
    EXPECT_FALSE(parse_manifest(std::string(30'000, '[').insert(0, "a = ")));  // deep nesting
    EXPECT_FALSE(parse_manifest("\xff\xfe\x00"));
    for (const char* hostile : {"[#", "[[[1]]]", "[=", "[[#\na]]", "a.=1", "[a.#", "\xef\xba\xbf "}) {
        EXPECT_FALSE(parse_manifest(hostile)) << hostile;
    }
}

TEST(Manifest, NetworkMustMatchItsHashAndSize) {
    const auto manifest = parse_manifest(kGood);
    ASSERT_TRUE(manifest);
    FakeFiles good("hello");
    const auto blob = read_model_file(*manifest, manifest->file, good);
    ASSERT_TRUE(blob) << blob.error().message;
    EXPECT_EQ(blob->text(), "hello");
    FakeFiles damaged("hellp");
    EXPECT_EQ(read_model_file(*manifest, manifest->file, damaged).error().code, Errc::kUnprocessable);
    FakeFiles cut("hell");
    EXPECT_EQ(read_model_file(*manifest, manifest->file, cut).error().code, Errc::kUnprocessable);
    FakeFiles longer("hello!");
    EXPECT_EQ(read_model_file(*manifest, manifest->file, longer).error().code, Errc::kTooLarge);
}

}  // namespace
}  // namespace framegrid::engine
