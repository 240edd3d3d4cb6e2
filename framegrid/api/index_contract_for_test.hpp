// What every index of stored files and every index of kept results does, whatever stores it. `bench` runs
// tasks: run() gives the value and fails the test on an error, try_run() gives the result.
#pragma once

#include <string>

#include <framegrid/api/artifact_index.hpp>
#include <framegrid/api/result_index.hpp>

#include <gtest/gtest.h>

namespace framegrid::api {

inline job::ArtifactRecord artifact_for_test(const std::string& id, const std::string& digest) {
    job::ArtifactRecord out;
    out.id = id;
    out.owner = "key_a";
    out.digest = digest;
    out.bytes = 100;
    out.content_type = "image/png";
    out.expires_unix_ms = 50;
    return out;
}

template <class Bench>
void bytes_go_with_their_last_record(Bench& bench, ArtifactIndex& artifacts) {
    EXPECT_TRUE(bench.try_run(artifacts.add(artifact_for_test("art_1", "x"))).has_value());
    EXPECT_TRUE(bench.try_run(artifacts.add(artifact_for_test("art_2", "x"))).has_value());
    EXPECT_EQ(bench.run(artifacts.find("art_1")), artifact_for_test("art_1", "x"));
    const auto usage = bench.run(artifacts.usage("key_a"));
    EXPECT_EQ(usage.files, 2U);
    EXPECT_EQ(usage.bytes, 200U);
    EXPECT_EQ(bench.run(artifacts.list("key_a", "", 10)).front().id, "art_2");
    EXPECT_EQ(bench.run(artifacts.list("key_a", "art_2", 10)).size(), 1U);
    EXPECT_TRUE(bench.run(artifacts.expired(49, 10)).empty());
    EXPECT_EQ(bench.run(artifacts.expired(50, 10)).size(), 2U);
    EXPECT_FALSE(bench.run(artifacts.remove("art_1")));
    EXPECT_EQ(bench.run(artifacts.unnamed({"w", "x", "y'"})), (std::vector<std::string>{"w", "y'"}));
    EXPECT_TRUE(bench.run(artifacts.unnamed({})).empty());
    EXPECT_TRUE(bench.run(artifacts.remove("art_2")));
    EXPECT_EQ(bench.run(artifacts.unnamed({"x"})), std::vector<std::string>{"x"});
    const auto gone = bench.try_run(artifacts.remove("art_2"));
    ASSERT_FALSE(gone);
    EXPECT_EQ(gone.error().code, Errc::kNotFound);
}

template <class Bench>
void the_newest_of_a_key_until_it_expires(Bench& bench, ResultIndex& results) {
    const KeptResult first{"key_a", "k", "job_1", "{}", 10, 100};
    EXPECT_TRUE(bench.try_run(results.keep(first)).has_value());
    EXPECT_EQ(bench.run(results.find("key_a", "k", 99)), first);
    EXPECT_FALSE(bench.run(results.find("key_a", "k", 100)));
    EXPECT_FALSE(bench.run(results.find("key_b", "k", 0)));
    const KeptResult second{"key_a", "k", "job_2", "[]", 20, 200};
    EXPECT_TRUE(bench.try_run(results.keep(second)).has_value());
    EXPECT_EQ(bench.run(results.find("key_a", "k", 100)), second);
    EXPECT_EQ(bench.run(results.forget(199, 10)), 0U);
    EXPECT_EQ(bench.run(results.forget(200, 10)), 1U);
    EXPECT_FALSE(bench.run(results.find("key_a", "k", 0)));
}

}  // namespace framegrid::api
