#include <framegrid/hub/listing.hpp>

#include <gtest/gtest.h>

namespace framegrid::hub {
namespace {

const std::string kSha(64, 'a');
const std::string kGit(40, 'b');

std::string entry(const std::string& path, const std::string& rest = R"("size":3)") {
    return R"({"rfilename":")" + path + R"(",)" + rest + "}";
}

std::string answer(const std::vector<std::string>& entries) {
    std::string files;
    for (const auto& one : entries) {
        files += (files.empty() ? "" : ",") + one;
    }
    return R"({"id":"a/b","sha":"c0ffee","siblings":[)" + files + "]}";
}

std::vector<std::string> paths_of(const std::vector<ListedFile>& files) {
    std::vector<std::string> paths;
    for (const auto& file : files) {
        paths.push_back(file.path);
    }
    return paths;
}

TEST(Listing, FilesWithTheirDigests) {
    const auto listing = parse_listing(answer(
        {entry("model_index.json", R"("size":12,"blobId":")" + kGit + "\""),
         entry(
             "unet/model.onnx",
             R"("size":130,"blobId":"x","lfs":{"sha256":")" + kSha + R"(","size":99,"pointerSize":130})"
         )}
    ));
    ASSERT_TRUE(listing) << listing.error().message;
    EXPECT_EQ(listing->revision, "c0ffee");
    ASSERT_EQ(listing->files.size(), 2U);
    EXPECT_EQ(listing->files[0].git_id, kGit);
    EXPECT_EQ(listing->files[0].bytes, 12);
    EXPECT_EQ(listing->files[1].sha256, kSha);
    EXPECT_EQ(listing->files[1].bytes, 99) << "the file's, not the pointer's";
    EXPECT_TRUE(listing->files[1].git_id.empty());
}

TEST(Listing, PathsThatLeaveTheDirectoryAreDropped) {
    const auto listing = parse_listing(answer(
        {entry("../evil.onnx"), entry("/etc/passwd"), entry(".git/config"), entry("a//b"), entry("a/../b"),
         entry("a\\\\b"), entry("fine.onnx")}
    ));
    ASSERT_TRUE(listing);
    ASSERT_EQ(listing->files.size(), 1U);
    EXPECT_EQ(listing->files[0].path, "fine.onnx");
}

TEST(Listing, RubbishIsAnError) {
    for (const std::string bad :
         {"", "[]", "{}", R"({"siblings":3})", R"({"siblings":[3]})", R"({"siblings":[{}]})",
          R"({"siblings":[{"rfilename":"a","size":-1}]})",
          R"({"siblings":[{"rfilename":"a","lfs":{"sha256":"zz","size":1}}]})",
          R"({"siblings":[{"rfilename":"a","blobId":"../.."}]})"}) {
        EXPECT_EQ(parse_listing(bad).error().code, Errc::kProtocol) << bad;
    }
    EXPECT_FALSE(parse_listing(std::string(kListingBytesMax + 1, ' ')));
}

TEST(Listing, AnExportsNetworksAndConfigurationsAreChosen) {
    std::vector<std::string> entries;
    for (const char* path :
         {"model_index.json", "README.md", "scheduler/scheduler_config.json", "unet/model.onnx",
          "unet/model.onnx_data", "unet/diffusion_pytorch_model.safetensors", "unet/config.json",
          "tokenizer/vocab.json", "tokenizer/merges.txt", "safety_checker/model.onnx",
          "vae_decoder/model.onnx", "pictures/cat.png"}) {
        entries.push_back(entry(path));
    }
    const auto chosen = choose_files(*parse_listing(answer(entries)));
    ASSERT_TRUE(chosen) << chosen.error().message;
    const auto paths = paths_of(*chosen);
    EXPECT_EQ(
        paths,
        (std::vector<std::string>{
            "model_index.json", "scheduler/scheduler_config.json", "unet/model.onnx", "unet/model.onnx_data",
            "unet/config.json", "tokenizer/vocab.json", "tokenizer/merges.txt", "vae_decoder/model.onnx"
        })
    );
    EXPECT_EQ(
        choose_files(*parse_listing(answer({entry("model.safetensors")}))).error().code, Errc::kUnsupported
    );
    EXPECT_EQ(choose_files(*parse_listing(answer({entry("x4.onnx"), entry("a.txt")})))->size(), 1U);
}

TEST(Listing, OneNetworkWithWhatIsBesideItIsChosen) {
    std::vector<std::string> entries;
    for (const char* path :
         {"config.json", "preprocessor_config.json", "README.md", "model.safetensors", "onnx/model.onnx",
          "onnx/model.onnx_data", "onnx/model_fp16.onnx", "onnx/model_quantized.onnx"}) {
        entries.push_back(entry(path));
    }
    const auto chosen = choose_files(*parse_listing(answer(entries)));
    ASSERT_TRUE(chosen) << chosen.error().message;
    const auto paths = paths_of(*chosen);
    EXPECT_EQ(
        paths, (std::vector<std::string>{
                   "config.json", "preprocessor_config.json", "onnx/model.onnx", "onnx/model.onnx_data"
               })
    );
    const auto several = choose_files(*parse_listing(answer({entry("a.onnx"), entry("b.onnx")})));
    ASSERT_FALSE(several);
    EXPECT_NE(several.error().message.find("a.onnx, b.onnx"), std::string::npos) << several.error().message;
}

}  // namespace
}  // namespace framegrid::hub
