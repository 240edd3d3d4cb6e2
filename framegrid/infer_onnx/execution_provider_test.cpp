#include <framegrid/infer_onnx/execution_provider.hpp>

#include <gtest/gtest.h>

namespace framegrid::infer_onnx {
namespace {

using Names = std::vector<std::string>;

const Names kEverything{"TensorrtExecutionProvider", "CUDAExecutionProvider",    "OpenVINOExecutionProvider",
                        "DnnlExecutionProvider",     "XnnpackExecutionProvider", "CPUExecutionProvider"};

// Chooses among `offered` on a machine where `broken` do not start; `tried` gets what was tried.
Result<ProviderChoice> choose(
    const std::string& wanted, const Names& offered, const Names& broken = {}, Names* tried = nullptr
) {
    return choose_provider(wanted, offered, [&](const std::string& name) -> Result<void> {
        if (tried != nullptr) {
            tried->push_back(name);
        }
        if (std::ranges::find(broken, name) != broken.end()) {
            return fail(Errc::kUnsupported, "no such device");
        }
        return {};
    });
}

TEST(ExecutionProvider, TheFirstThatWorksIsTaken) {
    Names tried;
    EXPECT_EQ(choose("auto", kEverything, {}, &tried)->name, "tensorrt");
    EXPECT_EQ(tried, Names{"tensorrt"}) << "making sessions takes time";
    EXPECT_EQ(choose("auto", kEverything, {"tensorrt"})->name, "cuda");
    EXPECT_EQ(choose("auto", kEverything, {"tensorrt", "cuda"})->name, "openvino");
}

TEST(ExecutionProvider, OneThatIsListedButDoesNotStartIsPassedOver) {
    Names tried;
    const auto choice = choose("auto", kEverything, {"tensorrt", "cuda", "openvino"}, &tried);
    ASSERT_TRUE(choice);
    EXPECT_EQ(choice->name, "cpu") << "not dnnl or xnnpack, see kProviders";
    EXPECT_EQ(tried, (Names{"tensorrt", "cuda", "openvino"}));
    EXPECT_NE(choice->note.find("cuda: no such device"), std::string::npos) << choice->note;
}

TEST(ExecutionProvider, TheNoteSaysWhatTheLibraryLacks) {
    const auto choice = choose("auto", {"DnnlExecutionProvider", "CPUExecutionProvider"});
    ASSERT_TRUE(choice);
    EXPECT_EQ(choice->name, "cpu");
    EXPECT_EQ(choice->note, "tensorrt, cuda, openvino: not in this library");
}

TEST(ExecutionProvider, AskingForOneIsNotAWish) {
    const Names offered{"DnnlExecutionProvider", "CPUExecutionProvider", "NewExecutionProvider"};
    EXPECT_EQ(choose("dnnl", offered)->name, "dnnl");
    const auto absent = choose("cuda", offered);
    ASSERT_FALSE(absent);
    EXPECT_EQ(absent.error().code, Errc::kUnsupported);
    EXPECT_EQ(absent.error().field, "provider");
    EXPECT_NE(absent.error().message.find("cuda; it has: cpu, dnnl"), std::string::npos)
        << absent.error().message;
}

}  // namespace
}  // namespace framegrid::infer_onnx
