#include <framegrid/sandbox/operations.hpp>

#include <gtest/gtest.h>

namespace framegrid::sandbox {
namespace {

api::MediaOperation operation() {
    api::MediaOperation out{"join", R"({"output_format":"mp4"})", {}};
    out.files.push_back({"segments", Blob::copy_of("first")});
    out.files.push_back({"segments", Blob()});
    out.files.push_back({"more", Blob::copy_of("last")});
    return out;
}

TEST(OperationWork, RoundTrips) {
    const auto work = operation_work(operation());
    ASSERT_TRUE(work);
    EXPECT_TRUE(is_operation(*work));
    const auto read = parse_operation(*work);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->name, "join");
    EXPECT_EQ(read->parameters, R"({"output_format":"mp4"})");
    ASSERT_EQ(read->files.size(), 3U);
    EXPECT_EQ(read->files[0].bytes.text(), "first");
    EXPECT_EQ(read->files[1].bytes.size(), 0U);
    EXPECT_EQ(read->files[2].slot, "more");
    EXPECT_EQ(read->files[2].bytes.text(), "last");
    auto none = operation();
    none.files.clear();
    EXPECT_TRUE(parse_operation(*operation_work(none))->files.empty());
    none.parameters = "[]";
    EXPECT_FALSE(operation_work(none));
}

TEST(OperationWork, LengthsThatDoNotFitAreRefused) {
    auto work = *operation_work(operation());
    auto& ai = std::get<api::AiWork>(work.kind);
    for (const char* files :
         {R"([{"slot":"a","bytes":10}])", R"([{"slot":"a","bytes":9},{"slot":"a","bytes":1}])",
          R"([{"slot":"a","bytes":-1}])", R"([{"slot":"a","bytes":8}])", R"([{"slot":1,"bytes":9}])", R"({})",
          R"([{"bytes":9}])", R"([9])",
          R"([{"slot":"a","bytes":18446744073709551615},{"slot":"a","bytes":10}])"}) {
        ai.parameters = std::string(R"({"parameters":{},"files":)") + files + "}";
        EXPECT_FALSE(parse_operation(work)) << files;
    }
    ai.parameters = R"({"parameters":{},"files":[{"slot":"a","bytes":9}]})";
    EXPECT_TRUE(parse_operation(work));
}

TEST(OperationOutput, RoundTripsAndIsChecked) {
    std::vector<api::Artifact> files;
    files.push_back({"a/b.ts", "video/mp2t", Blob::copy_of("one"), {}, {}});
    files.push_back({"c", "text/plain", Blob::copy_of("three"), {}, {}});
    auto output = *operation_output(files);
    const auto read = parse_operation_output(output);
    ASSERT_TRUE(read);
    ASSERT_EQ(read->size(), 2U);
    EXPECT_EQ((*read)[0].name, "a/b.ts");
    EXPECT_EQ((*read)[1].bytes.text(), "three");
    for (const char* name : {"../b.ts", "/etc/b", "a//b", "a/./b", "a/.."}) {
        files[0].name = name;
        EXPECT_FALSE(parse_operation_output(*operation_output(files))) << name;
    }
    output.artifacts[1].bytes = Blob::copy_of("short");
    EXPECT_EQ(parse_operation_output(output).error().code, Errc::kProtocol);
    output.artifacts.pop_back();
    EXPECT_EQ(parse_operation_output(output).error().code, Errc::kProtocol);
    EXPECT_FALSE(parse_operation_output(*operation_output({})));
}

}  // namespace
}  // namespace framegrid::sandbox
